# shellcheck shell=bash
# b2ct_pre_main: find or ask everything that the kickstart leaves open, and write it to answers.sh.
# shellcheck disable=SC2034  # the kickstart and answers.sh read what is left in B2CT_ variables
# This file only defines functions. The kickstart sets these before it calls b2ct_pre_main:
#   B2CT_GENERATION    6 to 10
#   B2CT_HOST          host name without domain; empty: ask
#   B2CT_DOMAIN        domain of the site
#   B2CT_ROLE          frontend or node; empty: ask
#   B2CT_ASK_TIMEOUT_S seconds until a question's default is taken; 0: never
#   B2CT_TTY           /dev/tty; on EL6 /dev/tty3
#   B2CT_MEDIA_LABEL   volume id of the install medium
#   B2CT_DISK_RULES    array, one rule per disk: wwn=, serial=, path=, size= (bytes), smallest, joined by commas;
#                      empty: ask
#   B2CT_DISK_COUNT    disks wanted: 1, or 2 for a mirror
#   B2CT_DISK_MIN_MIB  what the layout needs on each
#   B2CT_NIC           MAC address or device of the management network card, or name of a bond; empty: ask
#   B2CT_ADDRESS       dhcp or an IPv4 address; empty: ask
#   B2CT_PREFIX B2CT_GATEWAY B2CT_DNS   of the management network (DNS comma separated); may be empty
#   B2CT_NETWORK_CIDR  the management network; empty when the site file does not say
#   B2CT_HOSTS_TAKEN   array of name=address of the site's other hosts
#   B2CT_RANGES_TAKEN  array of first-last, the addresses that virtual machines get
# Only tests set these: B2CT_RUN_DIR (where answers.sh and pre.log go), B2CT_SYSROOT (where sys, proc and dev are).

b2ct_pre_main() {
    LC_ALL=C # character ranges mean ASCII
    B2CT_RUN_DIR=${B2CT_RUN_DIR:-/tmp/b2ct}
    B2CT_SYSROOT=${B2CT_SYSROOT:-}
    mkdir -p "$B2CT_RUN_DIR"
    b2ct_log "b2ct %pre on EL$B2CT_GENERATION, bash $BASH_VERSION"
    if [[ -d $B2CT_SYSROOT/sys/firmware/efi ]]; then B2CT_FIRMWARE=uefi; else B2CT_FIRMWARE=bios; fi
    b2ct_scan_disks
    b2ct_scan_nics
    local missing=()
    if [[ -z $B2CT_ROLE ]]; then missing=(role); fi
    if [[ -z $B2CT_HOST ]]; then missing=("${missing[@]}" host); fi
    if ! b2ct_nic_by_site; then missing=("${missing[@]}" nic); fi
    if [[ -z $B2CT_ADDRESS ]]; then missing=("${missing[@]}" address); fi
    if ! b2ct_disks_by_rules; then missing=("${missing[@]}" disks); fi
    if ((${#missing[@]})); then
        b2ct_console_open
        b2ct_explain
        b2ct_ask_missing "${missing[@]}"
        b2ct_console_close
    fi
    b2ct_write_answers
}

# b2ct_explain: why there are questions, and what to do when the site file and this machine disagree about disks.
b2ct_explain() {
    b2ct_say ''
    b2ct_say "b2ct asks what the site file leaves open. Nothing has been erased yet."
    b2ct_say "To leave everything as it is, switch the machine off."
    if ((B2CT_ASK_TIMEOUT_S > 0)); then
        b2ct_say "Enter, or silence for $B2CT_ASK_TIMEOUT_S s, takes what stands in [brackets]."
    fi
    if [[ -n $B2CT_DISK_PROBLEM ]]; then
        b2ct_say ''
        b2ct_say "$B2CT_DISK_PROBLEM"
        b2ct_say "No disk was chosen. Correct this host's disks: in the site file (wwn, serial or"
        b2ct_say "path name one disk) and make the medium again, or choose here."
    fi
    b2ct_say ''
}

# b2ct_write_answers: write what is known to answers.sh, quoted for the shell; it appears whole or not at all.
b2ct_write_answers() {
    local name
    for name in HOST ROLE NIC NIC_DEVICE ADDRESS PREFIX GATEWAY DNS DISKS FIRMWARE; do
        name=B2CT_$name
        printf '%s=%s\n' "$name" "$(b2ct_quote "${!name}")"
    done >"$B2CT_RUN_DIR/answers.sh.new"
    mv -f "$B2CT_RUN_DIR/answers.sh.new" "$B2CT_RUN_DIR/answers.sh"
    b2ct_log "answers written"
}

# b2ct_quote TEXT: print it between single quotes, so that the shell reads it back as it is.
b2ct_quote() {
    local rest=$1 out=''
    while [[ $rest == *\'* ]]; do
        out=$out${rest%%\'*}"'\\''"
        rest=${rest#*\'}
    done
    printf "'%s'" "$out$rest"
}
