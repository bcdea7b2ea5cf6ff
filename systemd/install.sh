#!/bin/bash
# Installs edgeseg as a service, brings it up to date, or takes it away again. What it does can be done twice.
set -euo pipefail

usage() {
    cat <<'END'
usage: systemd/install.sh [--wheel FILE] [--python PYTHON] [--no-start]
       systemd/install.sh --remove | --purge

Puts edgeseg into /opt/edgeseg, its units, user and rules where systemd finds them, and a default configuration into
/etc/edgeseg; then enables and starts edgeseg.service. Over an earlier installation it is an upgrade: a configuration
that was changed stays, and a new default is put beside it as edgeseg.yaml.new.

  --wheel FILE      install this wheel; without it the checkout that this script lies in
  --python PYTHON   make the virtual environment with this interpreter (3.10 or newer; default: python3)
  --no-start        enable the service, but start nothing
  --remove          stop and remove it; configuration, recordings and user stay
  --purge           remove these too

DESTDIR=FOLDER takes that folder for / and starts nothing: for images of SD cards.
END
}

fail() {
    echo "install.sh: error: $1" >&2
    exit "${2:-69}"
}

say() {
    echo "install.sh: $1"
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
destdir=${DESTDIR:-}
destdir=${destdir%/}

opt=$destdir/opt/edgeseg
etc=$destdir/etc/edgeseg
lib=$destdir/usr/local/lib
units=$lib/systemd/system
command=$destdir/usr/local/bin/edgeseg
config=$etc/edgeseg.yaml
# The default as it was installed: by it a changed configuration is known.
shipped=$opt/share/edgeseg.yaml

action=install wheel='' python=python3 start=yes
while [ $# -gt 0 ]; do
    case $1 in
        --wheel | --python)
            [ $# -ge 2 ] || fail "$1 needs a value; see --help" 2
            if [ "$1" = --wheel ]; then wheel=$2; else python=$2; fi
            shift
            ;;
        --no-start) start=no ;;
        --remove) action=remove ;;
        --purge) action=purge ;;
        --help | -h) usage; exit 0 ;;
        *) fail "$1: unknown; see --help" 2 ;;
    esac
    shift
done

[ -n "$destdir" ] || [ "$(id -u)" = 0 ] || fail "needs root: sudo $0"

# Whether there is a systemd to talk to: not for an image, and not in most containers.
running() {
    [ -z "$destdir" ] && [ -d /run/systemd/system ]
}

check_python() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        fail "needs Python 3.10 or newer as '$python'; give another one with --python"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "'$python' cannot make a virtual environment: sudo apt install python3-venv"
    local prefix
    prefix=$("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
    case $prefix in
        /home/* | /root/*)
            [ -n "$destdir" ] ||
                fail "'$python' lives in $prefix, which the service cannot see; give one of the system with --python"
            ;;
    esac
}

# Whether the environment there holds this very wheel and works, made by this very Python. Of a checkout nobody knows.
is_up_to_date() {
    [ -n "$wheel" ] && [ "$(identity)" = "$(cat "$opt/venv/identity" 2>/dev/null)" ] &&
        "$opt/venv/bin/python" -I -m edgeseg --version >/dev/null 2>&1
}

identity() {
    sha256sum <"$wheel"
    "$python" -c 'import sys; print(sys.version)'
}

# A fresh environment beside the one in use: when this fails, nothing has changed.
make_environment() {
    local what=${wheel:-$checkout} fresh
    [ -n "$wheel" ] || [ -f "$checkout/pyproject.toml" ] ||
        fail "this script lies in no checkout of edgeseg: give a wheel with --wheel" 2
    [ -e "$what" ] || fail "$what: no such file" 66
    if is_up_to_date; then
        say "$opt holds $what already"
        return
    fi
    mkdir -p "$opt/share"
    chmod 0755 "$opt" "$opt/share"
    fresh=$(mktemp -d "$opt/venv.XXXXXX")
    # shellcheck disable=SC2064 # as it is now: at the end of the script the name is gone
    trap "rm -rf '$fresh'" EXIT
    chmod 0755 "$fresh"
    "$python" -m venv "$fresh"
    "$fresh/bin/python" -I -m pip install --quiet --disable-pip-version-check "$what" ||
        fail "$what cannot be installed; what was there before is as it was"
    [ -z "$wheel" ] || identity >"$fresh/identity"
    # The link is turned in one step: what starts meanwhile finds the old one or the new one.
    ln -sfn "$(basename "$fresh")" "$opt/venv.next"
    mv -T "$opt/venv.next" "$opt/venv"
    trap - EXIT
}

remove_old_environments() {
    local folder used
    used=$(readlink "$opt/venv")
    for folder in "$opt"/venv.*; do
        [ "$(basename "$folder")" = "$used" ] || rm -rf "$folder"
    done
}

put() { # MODE FROM TO
    mkdir -p "$(dirname "$3")"
    install -m "$1" "$2" "$3"
}

put_files() {
    put 0644 "$here/edgeseg.service" "$units/edgeseg.service"
    put 0644 "$here/edgeseg@.service" "$units/edgeseg@.service"
    put 0644 "$here/sysusers.conf" "$lib/sysusers.d/edgeseg.conf"
    put 0644 "$here/tmpfiles.conf" "$lib/tmpfiles.d/edgeseg.conf"
    # After 50, where the interfaces of a USB device become known.
    put 0644 "$here/udev.rules" "$lib/udev/rules.d/70-edgeseg.rules"
    if [ -e "$destdir/etc/nv_tegra_release" ]; then
        put 0644 "$here/jetson.conf" "$units/edgeseg.service.d/jetson.conf"
        put 0644 "$here/jetson.conf" "$units/edgeseg@.service.d/jetson.conf"
    fi
    mkdir -p "$(dirname "$command")"
    # -I: a folder that somebody else can write is never looked into for modules.
    printf '#!/bin/sh\nexec /opt/edgeseg/venv/bin/python -I -m edgeseg "$@"\n' >"$command"
    chmod 0755 "$command"
    if [ -e "$checkout/examples/edgeseg.yaml" ]; then
        put 0644 "$checkout/examples/edgeseg.yaml" "$opt/share/edgeseg.example.yaml"
    fi
}

put_config() {
    local default=$here/edgeseg.yaml
    mkdir -p "$etc"
    if [ ! -e "$config" ] || cmp -s "$config" "$shipped"; then
        put 0640 "$default" "$config"
        rm -f "$config.new"
    elif cmp -s "$config" "$default"; then
        rm -f "$config.new"
    elif ! cmp -s "$shipped" "$default"; then
        put 0640 "$default" "$config.new"
        say "$config was changed and stays; the new default is $config.new"
    fi
    put 0644 "$default" "$shipped"
}

make_user_and_folders() {
    if [ -n "$destdir" ]; then
        # Without users there is nothing to add one to; the board makes it when it starts for the first time.
        [ ! -e "$destdir/etc/passwd" ] || systemd-sysusers --root="$destdir" "$lib/sysusers.d/edgeseg.conf"
        return
    fi
    systemd-sysusers "$lib/sysusers.d/edgeseg.conf"
    systemd-tmpfiles --create "$lib/tmpfiles.d/edgeseg.conf"
    if running; then
        udevadm control --reload || say "the rules for devices count after the next start"
        udevadm trigger --subsystem-match=media --subsystem-match=dma_heap || true
    fi
}

start_service() {
    if ! running; then
        systemctl --root="$destdir/" --quiet enable edgeseg.service
        return
    fi
    systemctl daemon-reload
    systemctl --quiet enable edgeseg.service
    [ "$start" = yes ] || return 0
    systemctl try-restart 'edgeseg@*.service'
    systemctl restart edgeseg.service ||
        fail "installed, but it does not start; see: journalctl -u edgeseg -n 30, and: edgeseg doctor --config $config"
}

install_all() {
    check_python
    make_environment
    put_files
    put_config
    make_user_and_folders
    start_service
    # Only now: what ran until here may still load modules from the old one.
    if [ "$start" = yes ] || ! running; then
        remove_old_environments
    fi
    say "installed; configuration: $config, what is missing: edgeseg doctor --config $config, log: journalctl -fu edgeseg"
}

remove_all() {
    if running; then
        local instances
        mapfile -t instances < <(
            systemctl list-units --all --plain --no-legend 'edgeseg@*.service' | cut -d ' ' -f 1
            systemctl list-unit-files --plain --no-legend --state=enabled 'edgeseg@?*.service' | cut -d ' ' -f 1
        )
        # It may have been removed before.
        systemctl --quiet disable --now edgeseg.service "${instances[@]}" || true
    else
        systemctl --root="$destdir/" --quiet disable edgeseg.service 2>/dev/null || true
    fi
    rm -rf "$opt" "$units/edgeseg.service.d/jetson.conf" "$units/edgeseg@.service.d/jetson.conf"
    rm -f "$units/edgeseg.service" "$units/edgeseg@.service" "$command"
    rm -f "$lib/sysusers.d/edgeseg.conf" "$lib/tmpfiles.d/edgeseg.conf" "$lib/udev/rules.d/70-edgeseg.rules"
    rmdir --ignore-fail-on-non-empty "$units/edgeseg.service.d" "$units/edgeseg@.service.d" 2>/dev/null || true
    if running; then
        systemctl daemon-reload
    fi
    if [ "$action" = purge ]; then
        rm -rf "$etc" "$destdir/var/lib/edgeseg" "$destdir/var/cache/edgeseg"
        if [ -z "$destdir" ] && id edgeseg >/dev/null 2>&1; then
            userdel edgeseg
        fi
        say "removed, with configuration, recordings and user"
    else
        say "removed; $etc, $destdir/var/lib/edgeseg and the user edgeseg stay (--purge removes them too)"
    fi
}

if [ "$action" = install ]; then
    install_all
else
    remove_all
fi
