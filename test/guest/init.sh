#!/bin/busybox sh
# The first and only program of the tiny guest. Every line that a test may wait for starts with GUEST.
/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt /bin /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
say() { echo "GUEST $*" > /dev/console; }

while read -r module; do insmod "/modules/$module" 2>/dev/null; done < /modules/order

# Boots are counted on the disk: in a file when it is the boot disk, else in a sector of a blank one.
count_boots() {
  [ -b /dev/vda ] || { say NODISK; return; }
  if mount -t vfat /dev/vda /mnt 2>/dev/null; then
    boots=$(cat /mnt/boots 2>/dev/null)
    boots=$((${boots:-0} + 1))
    echo "$boots" > /mnt/boots
    umount /mnt
  else
    boots=$(dd if=/dev/vda bs=512 skip=64 count=1 2>/dev/null | tr -dc '0-9')
    boots=$((${boots:-0} + 1))
    printf '%-8s' "$boots" | dd of=/dev/vda bs=512 seek=64 conv=notrunc 2>/dev/null
  fi
  sync
  say "BOOT $boots"
  say "DISK $(cat /sys/block/vda/size)"
}

# The power button of ACPI is an input device; its first event ends the guest.
watch_button() {
  for device in /sys/class/input/event*; do
    if grep -q 'Power Button' "$device/device/name" 2>/dev/null; then
      node=/dev/input/${device##*/}
      ( head -c 24 "$node" > /dev/null; say POWEROFF; sync; poweroff -f ) &
    fi
  done
}

network() {
  [ -e /sys/class/net/eth0 ] || { say NONIC; return; }
  ip link set lo up
  ip link set eth0 up
  say "MAC $(cat /sys/class/net/eth0/address)"
  udhcpc -i eth0 -n -q -t 5 -T 2 -O staticroutes -s /udhcpc.sh > /dev/null 2>&1 || { say NOLEASE; return; }
  say "ADDRESS $(ip -4 addr show dev eth0 | sed -n 's/.*inet \([0-9./]*\).*/\1/p')"
  [ -e /lease-has-metadata ] || return
  # No -T here: the static build of this wget crashes with it.
  say "METADATA $(wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json | head -c 2000)"
}

count_boots
watch_button
say "MEMORY $(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
say "CPUS $(grep -c ^processor /proc/cpuinfo)"
say READY
network &
while :; do setsid cttyhack sh < /dev/ttyS0 > /dev/ttyS0 2>&1 || sleep 5; done
