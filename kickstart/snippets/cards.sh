# What %pre found of the site's cards: B2CT_CARDS holds key=device=mac for each.
# b2ct_card_device KEY, b2ct_card_mac KEY: print it.
b2ct_card_device() {
    local card
    for card in "${B2CT_CARDS[@]}"; do
        if [[ ${card%%=*} == "$1" ]]; then
            card=${card#*=}
            printf '%s' "${card%%=*}"
        fi
    done
}
b2ct_card_mac() {
    local card
    for card in "${B2CT_CARDS[@]}"; do
        if [[ ${card%%=*} == "$1" ]]; then printf '%s' "${card##*=}"; fi
    done
}

# b2ct_netmask PREFIX: print 255.255.255.0 for 24.
b2ct_netmask() {
    local mask=$((0xffffffff << (32 - $1) & 0xffffffff))
    printf '%d.%d.%d.%d' $((mask >> 24 & 255)) $((mask >> 16 & 255)) $((mask >> 8 & 255)) $((mask & 255))
}
