# shellcheck shell=bash
# Finding the network card that carries the management address, or asking which one it is.
# This file only defines functions.
# shellcheck disable=SC2034  # main.sh reads what they leave in B2CT_ variables
#
# b2ct_scan_nics fills parallel arrays, one element per Ethernet card: B2CT_N_DEVICE, B2CT_N_MAC.

b2ct_scan_nics() {
    local dir
    B2CT_N_DEVICE=() B2CT_N_MAC=()
    for dir in "$B2CT_SYSROOT"/sys/class/net/*; do
        # Bridges, bonds and VLANs have no device behind them; type 1 is Ethernet (ARPHRD_ETHER).
        if [[ -e $dir/device && ! -e $dir/phy80211 && $(b2ct_first_line "$dir/type") == 1 ]]; then
            B2CT_N_DEVICE[${#B2CT_N_DEVICE[@]}]=${dir##*/}
            B2CT_N_MAC[${#B2CT_N_MAC[@]}]=$(b2ct_first_line "$dir/address")
        fi
    done
    b2ct_log "network cards: ${B2CT_N_DEVICE[*]:-none}"
}

# b2ct_take_nic TEXT: leave the card that TEXT (MAC address or device) means in B2CT_NIC and B2CT_NIC_DEVICE; returns 1
# when there is none.
b2ct_take_nic() {
    local i found=''
    shopt -s nocasematch
    for ((i = 0; i < ${#B2CT_N_DEVICE[@]}; i++)); do
        if [[ ${B2CT_N_MAC[i]} == "$1" ]]; then found=$i; fi
    done
    shopt -u nocasematch
    for ((i = 0; i < ${#B2CT_N_DEVICE[@]}; i++)); do
        if [[ ${B2CT_N_DEVICE[i]} == "$1" ]]; then found=$i; fi
    done
    if [[ -z $found ]]; then return 1; fi
    B2CT_NIC=${B2CT_N_MAC[found]}
    B2CT_NIC_DEVICE=${B2CT_N_DEVICE[found]}
}

# b2ct_nic_by_site: find the card that the site file names; returns 1 when it names none. What is no card of this
# machine is left as it is: the name of a bond to be made, or a card that the kickstart will miss.
b2ct_nic_by_site() {
    B2CT_NIC_DEVICE=''
    if [[ -z $B2CT_NIC ]]; then return 1; fi
    b2ct_take_nic "$B2CT_NIC" || B2CT_NIC_DEVICE=$B2CT_NIC
}

# b2ct_raise_nics: switch the cards on, because one that is off does not tell whether its cable is in.
b2ct_raise_nics() {
    local device raised=''
    for device in "${B2CT_N_DEVICE[@]}"; do
        if [[ -z $(b2ct_first_line "$B2CT_SYSROOT/sys/class/net/$device/carrier") ]]; then
            ip link set dev "$device" up >/dev/null 2>&1
            raised=1
        fi
    done
    if [[ -n $raised ]]; then sleep 3; fi # the time in which most cards find their link
}

# b2ct_link DEVICE: print link state and speed.
b2ct_link() {
    local dir=$B2CT_SYSROOT/sys/class/net/$1 speed
    if [[ $(b2ct_first_line "$dir/carrier") != 1 ]]; then
        printf 'no link'
        return
    fi
    speed=$(b2ct_first_line "$dir/speed")
    case $speed in
        '' | -* | *[!0-9]*) printf 'link' ;;
        *) printf 'link, %s Mb/s' "$speed" ;;
    esac
}

# b2ct_print_nics: the table of every card.
b2ct_print_nics() {
    local i driver
    printf '\n  %-15s %-17s  %-12s %s\n' DEVICE MAC DRIVER LINK
    for ((i = 0; i < ${#B2CT_N_DEVICE[@]}; i++)); do
        driver=$(b2ct_place "$B2CT_SYSROOT/sys/class/net/${B2CT_N_DEVICE[i]}/device/driver")
        printf '  %-15s %-17s  %-12s %s\n' "${B2CT_N_DEVICE[i]}" "${B2CT_N_MAC[i]}" "${driver##*/}" \
            "$(b2ct_link "${B2CT_N_DEVICE[i]}")"
    done
    if ((${#B2CT_N_DEVICE[@]} == 0)); then printf '  (no network card was found: is a driver missing?)\n'; fi
    printf '\n'
}

# b2ct_only_linked_nic: print the card to propose: the only one, or the only one with a link.
b2ct_only_linked_nic() {
    local device linked=()
    if ((${#B2CT_N_DEVICE[@]} == 1)); then linked=("${B2CT_N_DEVICE[0]}"); fi
    for device in "${B2CT_N_DEVICE[@]}"; do
        if ((${#B2CT_N_DEVICE[@]} > 1)) && [[ $(b2ct_link "$device") == link* ]]; then
            linked[${#linked[@]}]=$device
        fi
    done
    if ((${#linked[@]} == 1)); then printf '%s' "${linked[0]}"; fi
}

# b2ct_ask_nic: ask for the card of the management network.
b2ct_ask_nic() {
    while :; do
        b2ct_scan_nics
        b2ct_raise_nics
        b2ct_print_nics
        while :; do
            b2ct_ask "Network card of the management network (or r: look again)" \
                "${B2CT_NIC_DEVICE:-$(b2ct_only_linked_nic)}"
            case $B2CT_REPLY in r | R) continue 2 ;; esac
            if b2ct_take_nic "$B2CT_REPLY"; then return; fi
            b2ct_say "There is no network card \"$(b2ct_clean "$B2CT_REPLY")\"."
            b2ct_say "Type a device or a MAC address of the table."
        done
    done
}
