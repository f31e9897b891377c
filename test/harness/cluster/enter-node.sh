# The first process in the namespaces of a node: builds the node's file system under $1, makes it `/`, and becomes init.
#   $1  the node's `/`, with the folders of a system and its settings in /etc
#   $2  the file system whose programs the node has
#   $3  a folder with Kubernetes' programs
#   $4  a folder on the same disk as $1, for what the node writes into /usr
#   $5  the node's name
set -eu
root=$1 system=$2 kubernetes=$3 own=$4 name=$5

mount --make-rprivate /
mount --bind "$root" "$root"
mount -t overlay -o "lowerdir=$system/usr,upperdir=$own/upper,workdir=$own/work" overlay "$root/usr"
mount --bind "$kubernetes" "$root/opt/kubernetes/bin"
mount -o remount,bind,ro "$root/opt/kubernetes/bin"

mount -t proc proc "$root/proc"
# The kubelet insists on values of these settings, which belong to the whole machine: it is shown files instead.
cd "$own/sysctl"
for setting in $(find . -type f); do
  [ ! -e "$root/proc/sys/$setting" ] || mount --bind "$setting" "$root/proc/sys/$setting"
done
cd /

mount -t sysfs sysfs "$root/sys"
# The cgroup namespace makes our cgroup look like the top of every hierarchy.
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
while IFS=: read -r number controllers path; do
  case $controllers in
    '') continue ;;
    name=*) options=none,$controllers ;;
    *) options=$controllers ;;
  esac
  mkdir "$root/sys/fs/cgroup/${controllers#name=}"
  mount -t cgroup -o "$options" cgroup "$root/sys/fs/cgroup/${controllers#name=}"
done </proc/self/cgroup

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
device() { mknod -m "$2" "$root/dev/$1" c "$3" "$4"; }
device null 666 1 3
device zero 666 1 5
device full 666 1 7
device random 666 1 8
device urandom 666 1 9
device kmsg 600 1 11
device tty 666 5 0
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=755 tmpfs "$root/run"

hostname "$name"
cd "$root"
mkdir .before
# A real pivot, not chroot: runc does the same again for every container.
pivot_root . .before
exec /usr/bin/env -i PATH=/opt/kubernetes/bin:/usr/sbin:/usr/bin HOME=/root /bin/sh -c '
  umount -l /.before && rmdir /.before
  # What a pod mounts may be meant for other pods.
  mount --make-rshared /
  exec tini -s -- sh /opt/kubernetes/run-node.sh
'
