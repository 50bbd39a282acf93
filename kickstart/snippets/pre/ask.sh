# shellcheck shell=bash
# What a person is asked besides network card and disks: role, host name, address, gateway, name servers.
# This file only defines functions. Each b2ct_ask_X leaves a checked answer in its B2CT_ variable; an answer given
# before is the default when the questions are gone through again.
# shellcheck disable=SC2034  # main.sh reads what they leave in B2CT_ variables

b2ct_ask_role() {
    while :; do
        b2ct_ask "Role of this host: frontend or node" "${B2CT_ROLE:-node}"
        case $B2CT_REPLY in
            frontend | node)
                B2CT_ROLE=$B2CT_REPLY
                return
                ;;
        esac
        b2ct_say "Type frontend or node."
    done
}

b2ct_ask_host() {
    local problem name
    while :; do
        b2ct_ask "Host name, without .$B2CT_DOMAIN" "$B2CT_HOST"
        name=${B2CT_REPLY%".$B2CT_DOMAIN"}
        problem=$(b2ct_host_problem "$name")
        if [[ -z $problem ]]; then
            B2CT_HOST=$name
            return
        fi
        b2ct_say "$problem"
    done
}

# b2ct_host_problem NAME: print what is wrong with it; nothing when it is a host name (one label of RFC 1123 2.1) that
# no other host of the site has.
b2ct_host_problem() {
    local name=$1 taken
    for taken in "${B2CT_HOSTS_TAKEN[@]}"; do
        if [[ ${taken%%=*} == "$name" ]]; then
            printf '%s is another host of this site.' "$name"
            return
        fi
    done
    case $name in
        *[!a-z0-9-]* | -* | *- | '')
            printf 'A host name has small letters, digits and hyphens, and begins and ends with a letter or digit.'
            ;;
        localhost) printf 'localhost names every host.' ;;
        *)
            # Linux keeps 64 characters of a host's full name (gethostname(2)).
            if ((${#name} > 63 || ${#name} + 1 + ${#B2CT_DOMAIN} > 64)); then printf 'That is too long.'; fi
            ;;
    esac
}

# b2ct_ask_address: ask for the address, and with a static one for gateway and name servers.
b2ct_ask_address() {
    local problem address prefix question
    question="IPv4 address of this host${B2CT_NETWORK_CIDR:+ in $B2CT_NETWORK_CIDR}, or dhcp"
    while :; do
        b2ct_ask "$question" "${B2CT_ADDRESS:-dhcp}"
        if [[ $B2CT_REPLY == dhcp ]]; then
            B2CT_ADDRESS=dhcp
            return
        fi
        address=${B2CT_REPLY%%/*}
        prefix=${B2CT_PREFIX:-}
        if [[ -n $B2CT_NETWORK_CIDR ]]; then prefix=${B2CT_NETWORK_CIDR#*/}; fi
        problem=''
        if [[ $B2CT_REPLY == */* ]]; then
            if [[ -n $B2CT_NETWORK_CIDR && ${B2CT_REPLY#*/} != "$prefix" ]]; then
                problem="The prefix length of this network is $prefix."
            fi
            prefix=${B2CT_REPLY#*/}
        fi
        if [[ -z $problem ]]; then problem=$(b2ct_address_problem "$address" "$prefix"); fi
        if [[ -z $problem ]]; then break; fi
        b2ct_say "$problem"
    done
    B2CT_ADDRESS=$address
    B2CT_PREFIX=$prefix
    b2ct_ask_gateway
    b2ct_ask_dns
}

# b2ct_address_problem ADDRESS PREFIX: print why the host cannot have it; nothing when it can.
b2ct_address_problem() {
    local address=$1 prefix=$2 number taken first last
    number=$(b2ct_ip_number "$address") || {
        printf 'That is no IPv4 address; type one such as 192.168.1.20, or dhcp.'
        return
    }
    case $prefix in
        [1-9] | [12][0-9] | 3[0-2]) ;;
        *)
            printf 'Add the prefix length of the network (1 to 32), as in %s/24.' "$address"
            return
            ;;
    esac
    if ((number >> 24 == 0 || number >> 24 == 127 || number >> 24 >= 224)); then
        printf '%s is no address that a host can have.' "$address"
    elif [[ -n $B2CT_NETWORK_CIDR ]] && ! b2ct_same_network "$address" "${B2CT_NETWORK_CIDR%/*}" "$prefix"; then
        printf '%s is not in %s.' "$address" "$B2CT_NETWORK_CIDR"
    elif b2ct_is_edge "$number" "$prefix"; then
        printf '%s is the network or broadcast address of its network.' "$address"
    elif [[ $address == "$B2CT_GATEWAY" ]]; then
        printf '%s is the gateway.' "$address"
    else
        for taken in "${B2CT_HOSTS_TAKEN[@]}"; do
            if [[ ${taken#*=} == "$address" ]]; then
                printf '%s is the address of %s.' "$address" "${taken%%=*}"
                return
            fi
        done
        for taken in "${B2CT_RANGES_TAKEN[@]}"; do
            first=$(b2ct_ip_number "${taken%-*}")
            last=$(b2ct_ip_number "${taken#*-}")
            if ((first <= number && number <= last)); then
                printf '%s is for virtual machines: OpenNebula gives them %s.' "$address" "${taken/-/ to }"
                return
            fi
        done
    fi
}

# b2ct_ip_number ADDRESS: print it as a number; returns 1 unless it is four octets without leading zeros (which some
# programs read as octal).
b2ct_ip_number() {
    local octet octets number=0
    case $1 in '' | *[!0-9.]* | .* | *. | *..*) return 1 ;; esac
    IFS=. read -r -a octets <<<"$1"
    if ((${#octets[@]} != 4)); then return 1; fi
    for octet in "${octets[@]}"; do
        if [[ ${#octet} -gt 3 || $octet == 0?* ]] || ((octet > 255)); then return 1; fi
        number=$((number * 256 + octet))
    done
    printf '%s' "$number"
}

# b2ct_same_network A B PREFIX: whether two addresses are in one network.
b2ct_same_network() {
    local a b
    a=$(b2ct_ip_number "$1") && b=$(b2ct_ip_number "$2") && (((a ^ b) >> (32 - $3) == 0))
}

# b2ct_is_edge NUMBER PREFIX: whether it is the network or broadcast address (which /31 and /32 do not have).
b2ct_is_edge() {
    local hosts=$(((1 << (32 - $2)) - 1))
    (($2 <= 30 && (($1 & hosts) == 0 || ($1 & hosts) == hosts)))
}

b2ct_ask_gateway() {
    while :; do
        b2ct_ask "Gateway, or none" "${B2CT_GATEWAY:-none}"
        if [[ $B2CT_REPLY == none ]]; then
            B2CT_GATEWAY=''
            return
        fi
        if ! b2ct_ip_number "$B2CT_REPLY" >/dev/null; then
            b2ct_say "That is no IPv4 address."
        elif [[ $B2CT_REPLY == "$B2CT_ADDRESS" ]]; then
            b2ct_say "That is this host's own address."
        elif ! b2ct_same_network "$B2CT_REPLY" "$B2CT_ADDRESS" "$B2CT_PREFIX" ||
            b2ct_is_edge "$(b2ct_ip_number "$B2CT_REPLY")" "$B2CT_PREFIX"; then
            b2ct_say "$B2CT_REPLY is no host's address in the network of $B2CT_ADDRESS/$B2CT_PREFIX."
        else
            B2CT_GATEWAY=$B2CT_REPLY
            return
        fi
    done
}

b2ct_ask_dns() {
    local server servers bad
    while :; do
        b2ct_ask "Name servers (IPv4 addresses with commas), or none" "${B2CT_DNS:-none}"
        if [[ $B2CT_REPLY == none ]]; then
            B2CT_DNS=''
            return
        fi
        bad=''
        IFS=', ' read -r -a servers <<<"$B2CT_REPLY"
        for server in "${servers[@]}"; do
            if ! b2ct_ip_number "$server" >/dev/null; then bad=1; fi
        done
        if [[ -z $bad ]] && ((${#servers[@]})); then
            printf -v B2CT_DNS '%s,' "${servers[@]}"
            B2CT_DNS=${B2CT_DNS%,}
            return
        fi
        b2ct_say "Type IPv4 addresses with commas between them, such as 10.0.0.2,10.0.0.3."
    done
}

# b2ct_print_summary: what will be installed.
b2ct_print_summary() {
    local address=$B2CT_ADDRESS
    if [[ $address != dhcp ]]; then
        address="$address/$B2CT_PREFIX, gateway ${B2CT_GATEWAY:-none}, name servers ${B2CT_DNS:-none}"
    fi
    b2ct_say ''
    b2ct_say "  Host      $B2CT_HOST.$B2CT_DOMAIN"
    b2ct_say "  Role      $B2CT_ROLE"
    b2ct_say "  Network   $B2CT_NIC_DEVICE${B2CT_NIC:+ ($B2CT_NIC)}"
    b2ct_say "  Address   $address"
    b2ct_say "  Disk      $B2CT_DISKS (everything on it is erased)"
    b2ct_say ''
}

# b2ct_ask_missing WHAT...: ask all of it (role, host, nic, address, disks) until the person says that it is right.
b2ct_ask_missing() {
    local what
    while :; do
        for what in "$@"; do "b2ct_ask_$what"; done
        if [[ $* == disks ]]; then return; fi # they have been confirmed
        b2ct_print_summary
        while :; do
            b2ct_ask "Is this right? y or n" y
            case $B2CT_REPLY in
                y | Y | yes | Yes) return ;;
                n | N | no | No) break ;;
            esac
        done
    done
}
