#!/bin/bash
# Process 1 of a private libvirt. Its own mounts hide the machine's libvirt; when it ends, the kernel ends every
# process of the namespace: daemons and guests. It ends when its standard input is closed, so it can't outlive the test.
# bash and not sh: it reaps the daemons' orphans, which a waiting dash would leave as zombies.
set -eu
export PATH=$PATH:/usr/sbin:/sbin
root=$1 mode=$2 cache=$3

mkdir -p /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
mount --bind "$root/run" /run
mount --bind "$root/etc" /etc/libvirt
mount --bind "$root/lib" /var/lib/libvirt
mount --bind "$root/log" /var/log/libvirt
mount --bind "$cache" /var/cache/libvirt
# A KVM that root sees and QEMU's user doesn't makes libvirt ask every QEMU for its abilities again at each call (5 s).
: > "$root/etc/nothing"
chmod 600 "$root/etc/nothing"
if [ -e /dev/kvm ]; then mount --bind "$root/etc/nothing" /dev/kvm; fi
ip link set lo up 2> /dev/null || true

as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$root/home" XDG_RUNTIME_DIR="$root/home/run" XDG_CONFIG_HOME="$root/home/config" XDG_CACHE_HOME="$root/home/cache" "$@"; }
start_daemon() {
  if [ "$mode" = session ]; then as_user libvirtd --daemon; else libvirtd --daemon; fi
}
stop_daemon() {
  # -x: only this namespace's processes are in sight.
  pkill -"$1" -x libvirtd || true
  while pgrep -x libvirtd > /dev/null; do sleep 0.05; done
}

if [ "$mode" = system ]; then virtlogd --daemon; fi
start_daemon > "$root/log/start" 2>&1 || { cat "$root/log/start"; exit 1; }
echo up
while read -r command argument; do
  case $command in
    stop) stop_daemon "$argument" ;;
    start) start_daemon ;;
    kill-guest) pkill -KILL -f "^[^ ]*qemu-system[^ ]* .*$argument" ;;
  esac > "$root/log/command" 2>&1 || { echo "failed $command: $(tr '\n' ' ' < "$root/log/command")"; continue; }
  echo done
done

# The pipe is closed. All that is in sight is ours, because this is process 1 of a namespace; make sure it is.
[ $$ = 1 ] || exit 1
kill -KILL -1 2> /dev/null || true
rm -rf -- "$root"
