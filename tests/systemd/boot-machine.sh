#!/bin/bash
# Becomes a machine: a systemd as process 1, on this machine's own files, of which it changes none (an overlay in memory
# takes what it writes). To be run in namespaces of its own: unshare --mount --pid --fork --ipc --uts --net --cgroup.
#
# boot-machine.sh FOLDER [BIND...]: FOLDER is an empty one to mount things on; BIND is FROM:TO, to be seen in the machine.
set -euo pipefail
folder=$1
shift
root=$folder/root

mount --make-rprivate /
mount -t tmpfs machine "$folder"
mkdir "$folder/upper" "$folder/work" "$root"
mount -t overlay machine -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"

# As a container has them: what belongs to the kernel is read-only, or none of the machine's business.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
    cp -a "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# Nothing that this machine has switched on or mounts is for the other one, nor are its journals.
mkdir -p "$root/etc/systemd/system"
mount -t tmpfs -o mode=755 tmpfs "$root/etc/systemd/system"
mkdir -p "$root/usr/local/lib/systemd/system" "$root/opt"
mount -t tmpfs -o mode=755 tmpfs "$root/usr/local/lib/systemd/system"
mount -t tmpfs -o mode=755 tmpfs "$root/opt"
rm -rf "$root/var/log/journal"
: >"$root/etc/fstab"
rm -f "$root/etc/machine-id"
printf '%032d\n' 1 >"$root/etc/machine-id"
for unit in systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
    systemd-journald-audit.socket modprobe@.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount systemd-tmpfiles-setup.service \
    systemd-update-utmp.service; do
    ln -s /dev/null "$root/etc/systemd/system/$unit"
done

for bind in "$@"; do
    mkdir -p "$root${bind#*:}"
    mount --bind "${bind%%:*}" "$root${bind#*:}"
    # These are the real ones, and the installer that is tested removes things too.
    mount -o remount,bind,ro "$root${bind#*:}"
done

mkdir "$root/run/old"
cd "$root"
pivot_root . run/old
# This machine's real files must be out of reach before anything else runs here: systemd empties folders as it starts.
umount -l /run/old
if [ -n "$(ls -A /run/old)" ] || grep -q ' /run/old' /proc/self/mounts; then
    echo "boot-machine.sh: the real files are still in reach; nothing is started" >&2
    exit 1
fi
rmdir /run/old
exec env -i container=edgeseg-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /usr/lib/systemd/systemd --system --show-status=0 --log-target=journal systemd.unit=basic.target
