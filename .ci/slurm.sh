#!/usr/bin/env bash
# A real Slurm on one machine, for the tests: `slurm.sh up` installs and starts it, `slurm.sh down`
# stops what it started. Needs root and Debian's packages; no systemd, no accounting database.
# It refuses to touch a machine that already has a Slurm of its own.
set -euo pipefail

state=/var/lib/dmp-slurm
cores=8 # more than there may be: the node only queues

refuse_foreign_slurm() {
    local conf=/etc/slurm/slurm.conf
    if [ -e "$conf" ] && ! grep -qx 'ClusterName=dmp' "$conf"; then
        echo "$conf belongs to another Slurm; it is left alone" >&2
        exit 1
    fi
}

# The process id in a pid file, if that process still is the daemon of this name.
running() {
    local pid
    pid=$(cat "$state/$1.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] &&
        echo "$pid"
}

stop() {
    local pid
    pid=$(running "$1") || return 0
    kill "$pid"
    for _ in $(seq 50); do
        [ -e "/proc/$pid" ] || break
        sleep 0.2
    done
    rm -f "$state/$1.pid"
}

install_packages() {
    command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends slurm-wlm munge >/dev/null
}

configure() {
    mkdir -p /etc/slurm "$state/ctld" "$state/spool"
    cat >/etc/slurm/slurm.conf <<CONF
ClusterName=dmp
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=17001
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$state/ctld
SlurmdSpoolDir=$state/spool
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
# The node may claim more than the machine has.
SlurmdParameters=config_overrides
# No control groups in containers.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# Tests do not want to wait for the scheduler.
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=5,bf_interval=5
MinJobAge=600
ReturnToService=2
NodeName=c1 NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=17002 CPUs=$cores RealMemory=16000
PartitionName=cpu Nodes=c1 Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    install -d -o munge -g munge /run/munge
    if ! munge --no-input >/dev/null 2>&1; then
        runuser -u munge -- /usr/sbin/munged
        # Only a munged that was started here is stopped by `down`.
        cp /run/munge/munged.pid "$state/munged.pid"
    fi
    # Jobs that an earlier Slurm left behind are of no use, and can keep the node from coming up.
    running slurmctld >/dev/null || slurmctld -c
    running slurmd >/dev/null || slurmd -N c1
}

wait_until_idle() {
    for _ in $(seq 150); do
        if sinfo --noheader --format=%T 2>/dev/null | grep -qE '^(idle|mixed|allocated)$'; then
            return
        fi
        sleep 0.2
    done
    echo "Slurm did not come up in 30 s:" >&2
    tail -n 20 "$state"/*.log >&2 || true
    return 1
}

case "${1:-}" in
up)
    refuse_foreign_slurm
    install_packages
    configure
    start
    wait_until_idle
    sinfo
    ;;
down)
    stop slurmd
    stop slurmctld
    stop munged
    ;;
*)
    echo "usage: slurm.sh up|down" >&2
    exit 2
    ;;
esac
