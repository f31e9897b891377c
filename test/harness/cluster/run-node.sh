# What systemd does on other nodes: runs containerd and the kubelet, and starts them again when they end.
# `kill $(cat /run/kubelet.pid)` restarts the kubelet.
set -u
echo 1 >/proc/sys/net/ipv4/ip_forward
for family in iptables ip6tables; do
  [ ! -e /proc/sys/net/bridge/bridge-nf-call-$family ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-$family
done

# The kubelet as kubeadm's unit for systemd starts it, as soon as kubeadm has written its settings.
start_kubelet() {
  until [ -e /var/lib/kubelet/config.yaml ]; do sleep 0.1; done
  KUBELET_KUBEADM_ARGS=
  [ ! -e /var/lib/kubelet/kubeadm-flags.env ] || . /var/lib/kubelet/kubeadm-flags.env
  exec kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
    --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
}

keep_running() {
  program=$1
  shift
  while :; do
    "$@" >>"/var/log/$program.log" 2>&1 &
    echo $! >"/run/$program.pid"
    wait $!
    echo "$program ended with $?" >>"/var/log/$program.log"
    sleep 0.5
  done
}

keep_running containerd containerd &
keep_running kubelet start_kubelet &
wait
