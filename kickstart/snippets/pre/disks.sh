# shellcheck shell=bash
# Choosing the disk that is erased. A rule of the site file must fit exactly one disk; otherwise a person decides, or
# nothing happens. This file only defines functions.
# shellcheck disable=SC2034  # main.sh reads what they leave in B2CT_ variables
#
# b2ct_scan_disks fills parallel arrays, one element per whole disk:
#   B2CT_D_NAME    kernel name as Anaconda writes it (sda, nvme0n1, cciss/c0d0)
#   B2CT_D_BYTES   size
#   B2CT_D_MODEL   for the table
#   B2CT_D_SERIALS every serial number it is known by, blank separated; the first is shown
#   B2CT_D_WWNS    every world wide name, blank separated; the first is shown and tells disks apart
#   B2CT_D_WHY     why it must not be used; empty: it may be
#   B2CT_D_NAMED   1: only a rule with wwn, serial or path, or a person, may take it

b2ct_scan_disks() {
    local dir
    B2CT_D_NAME=() B2CT_D_BYTES=() B2CT_D_MODEL=() B2CT_D_SERIALS=() B2CT_D_WWNS=() B2CT_D_WHY=() B2CT_D_NAMED=()
    udevadm settle --timeout=30 >/dev/null 2>&1
    for dir in "$B2CT_SYSROOT"/sys/block/*; do
        case ${dir##*/} in
            mmcblk*boot* | mmcblk*rpmb | mmcblk*gp*) ;; # parts of a flash chip
            nvme*c*n*) ;;                                # one path of an NVMe disk; the disk itself is nvmeXnY
            sd[a-z]* | vd[a-z]* | xvd[a-z]* | hd[a-z]* | nvme*n* | cciss!* | mmcblk*) b2ct_scan_disk "$dir" ;;
        esac
    done
    b2ct_refuse_twins
}

# b2ct_scan_disk DIR: add the disk of /sys/block/DIR to the arrays.
b2ct_scan_disk() {
    local dir=$1 i=${#B2CT_D_NAME[@]} name=${1##*/} place sectors
    name=${name//!//}
    place=$(b2ct_place "$dir")
    sectors=$(b2ct_first_line "$dir/size") # always of 512 bytes
    B2CT_D_NAME[i]=$name
    B2CT_D_BYTES[i]=$((${sectors:-0} * 512))
    B2CT_D_MODEL[i]=$(b2ct_clean "$(b2ct_first_line "$dir/device/model")")
    b2ct_identify "$i" "$dir"
    B2CT_D_WHY[i]=$(b2ct_why_not "$dir" "$place" "${B2CT_D_BYTES[i]}")
    case $name:$place in
        mmcblk*) B2CT_D_NAMED[i]=1 ;;                       # memory cards
        *:*/rport-[0-9]* | *:*/session[0-9]*) B2CT_D_NAMED[i]=1 ;; # Fibre Channel, iSCSI: storage others may share
        *) B2CT_D_NAMED[i]= ;;
    esac
    b2ct_log "disk $name: ${B2CT_D_BYTES[i]} bytes, serial ${B2CT_D_SERIALS[i]:--}, WWN ${B2CT_D_WWNS[i]:--}," \
        "${B2CT_D_WHY[i]:-may be used}, at $place"
}

# b2ct_place DIR: print where in the machine the device sits: /sys/devices/pci.../usb2/...
b2ct_place() {
    local root place
    root=$(cd -P "$B2CT_SYSROOT/" && pwd -P)
    place=$(cd -P "$1" 2>/dev/null && pwd -P)
    printf '%s' "/${place#"${root%/}/"}"
}

# b2ct_udev NODE: print what udev knows of a device node, as KEY=value lines.
b2ct_udev() {
    udevadm info --query=property --name="$1" 2>/dev/null
}

# b2ct_identify I DIR: collect serial numbers and world wide names, as `lsblk -o SERIAL,WWN` shows them.
b2ct_identify() {
    local i=$1 dir=$2 key value long='' short='' serial='' serials=''
    while IFS='=' read -r key value; do
        case $key in
            ID_WWN_WITH_EXTENSION) long=$value ;;
            ID_WWN) short=$value ;;
            ID_SCSI_SERIAL | SCSI_IDENT_SERIAL) serial=$value ;; # what a SAS disk's own label says
            ID_SERIAL_SHORT) serials="$value $serials" ;;
            ID_SERIAL) serials="$serials $value" ;;
        esac
    done <<<"$(b2ct_udev "$B2CT_SYSROOT/dev/${B2CT_D_NAME[i]}")"
    for key in "$dir/serial" "$dir/device/serial"; do # virtio, NVMe
        value=$(b2ct_first_line "$key")
        serials="$serials ${value// /_}"
    done
    for key in "$dir/wwid" "$dir/device/wwid"; do # NVMe, SCSI
        value=$(b2ct_first_line "$key")
        case $value in
            naa.*) short="$short 0x${value#naa.}" ;;
            eui.* | uuid.*) short="$short $value" ;;
        esac
    done
    B2CT_D_SERIALS[i]=$(b2ct_words "$serial $serials")
    B2CT_D_WWNS[i]=$(b2ct_words "$long $short")
}

# b2ct_words TEXT: print its words, clean and with one blank between them.
b2ct_words() {
    local word words out=
    read -r -a words <<<"$1"
    for word in "${words[@]}"; do out="$out $(b2ct_clean "$word")"; done
    printf '%s' "${out# }"
}

# b2ct_why_not DIR PLACE BYTES: print why this disk must never be erased; nothing when it may be.
b2ct_why_not() {
    local dir=$1 place=$2 bytes=$3
    if ((bytes == 0)); then
        printf 'no medium in it (size 0)'
    elif [[ $(b2ct_first_line "$dir/removable") == 1 ]]; then
        printf 'removable'
    elif [[ $place == */usb[0-9]* ]]; then
        printf 'USB disk'
    elif [[ $(b2ct_first_line "$dir/ro") == 1 ]]; then
        printf 'read-only'
    elif b2ct_in_use "$dir" || b2ct_precious_content "$dir"; then
        : # they have printed why
    elif ((bytes < B2CT_DISK_MIN_MIB * 1048576)); then
        printf 'smaller than the %s MiB that the layout needs' "$B2CT_DISK_MIN_MIB"
    fi
}

# b2ct_in_use DIR: whether this device, a partition of it or a device made of them is mounted or a multipath disk;
# prints which. Nothing of a target disk is mounted in %pre, so what is mounted belongs to the installer: its medium
# at /run/install/repo (EL7 and later) or /mnt/stage2 (EL6), the disk with the ISO file at .../isodir.
b2ct_in_use() {
    local dir=$1 dev inner number mount rest
    dev=$(b2ct_first_line "$dir/dev")
    while read -r _ _ number _ mount rest; do
        if [[ $number == "$dev" ]]; then
            printf 'in use by the installer, mounted on %s' "$(b2ct_clean "$mount")"
            return 0
        fi
    done <"$B2CT_SYSROOT/proc/self/mountinfo" 2>/dev/null
    if [[ $(b2ct_first_line "$dir/dm/uuid") == mpath-* ]]; then
        printf 'one path of a multipath disk, which is not supported'
        return 0
    fi
    for inner in "$dir"/holders/* "$dir"/*/partition; do
        inner=${inner%/partition}
        if [[ -e $inner/dev ]] && b2ct_in_use "$inner"; then return 0; fi
    done
    return 1
}

# b2ct_precious_content DIR: whether the disk or a partition is an install medium or part of something larger; prints
# what it is.
b2ct_precious_content() {
    local dir=$1 inner node label
    label=$(b2ct_udev_encode "$B2CT_MEDIA_LABEL")
    for inner in "$dir" "$dir"/*/partition; do
        inner=${inner%/partition}
        node=${inner##*/}
        node=$B2CT_SYSROOT/dev/${node//!//}
        if [[ ! -e $node ]]; then continue; fi
        if [[ -n $label && $B2CT_SYSROOT/dev/disk/by-label/$label -ef $node ]]; then
            printf 'install medium (volume %s)' "$B2CT_MEDIA_LABEL"
            return 0
        fi
        if b2ct_is_iso9660 "$node"; then
            printf 'holds an ISO 9660 file system, as install media do'
            return 0
        fi
        if b2ct_udev_refuses "$node" "$label"; then return 0; fi
    done
    return 1
}

# b2ct_udev_refuses NODE LABEL: the same by what udev found on it (two devices of one label share a by-label link).
b2ct_udev_refuses() {
    local key value
    while IFS='=' read -r key value; do
        if [[ $key == ID_FS_LABEL_ENC && -n $2 && $value == "$2" ]]; then
            printf 'install medium (volume %s)' "$B2CT_MEDIA_LABEL"
            return 0
        fi
        case $key=$value in
            ID_FS_TYPE=mpath_member | DM_MULTIPATH_DEVICE_PATH=1)
                printf 'one path of a multipath disk, which is not supported'
                ;;
            ID_FS_TYPE=linux_raid_member) continue ;; # an old installation
            ID_FS_TYPE=*_raid_member) printf 'member of a firmware RAID set, which is not supported' ;;
            *) continue ;;
        esac
        return 0
    done <<<"$(b2ct_udev "$1")"
    return 1
}

# b2ct_udev_encode LABEL: print it as udev names links: a blank is \x20.
b2ct_udev_encode() {
    local label=$1 out='' i char
    for ((i = 0; i < ${#label}; i++)); do
        char=${label:i:1}
        case $char in
            [0-9A-Za-z#+.:=@_-]) out=$out$char ;;
            *) out=$out$(printf '\\x%02x' "'$char") ;;
        esac
    done
    printf '%s' "$out"
}

# b2ct_is_iso9660 NODE: whether its sector 16 is a volume descriptor (ECMA-119 8.1), read without any help of udev.
b2ct_is_iso9660() {
    local id
    { id=$(dd if="$1" bs=1 skip=32769 count=5); } 2>/dev/null
    [[ $id == CD001 ]]
}

# b2ct_refuse_twins: two usable disks with one world wide name are two paths to one disk.
b2ct_refuse_twins() {
    local i j
    for ((i = 0; i < ${#B2CT_D_NAME[@]}; i++)); do
        for ((j = 0; j < ${#B2CT_D_NAME[@]}; j++)); do
            if ((i != j)) && [[ -n ${B2CT_D_WWNS[i]} && ${B2CT_D_WWNS[i]%% *} == "${B2CT_D_WWNS[j]%% *}" &&
                -z ${B2CT_D_WHY[i]} ]]; then
                B2CT_D_WHY[i]="same WWN as ${B2CT_D_NAME[j]}: two paths to one disk, which is not supported"
            fi
        done
    done
}

# b2ct_fits RULE I: whether all conditions of RULE but "smallest" hold for disk I.
b2ct_fits() {
    local rule=$1 i=$2 condition conditions named=
    if [[ -z $rule || -n ${B2CT_D_WHY[i]} ]]; then return 1; fi
    IFS=, read -r -a conditions <<<"$rule"
    for condition in "${conditions[@]}"; do
        case $condition in
            wwn=*) b2ct_has_wwn "${condition#*=}" "$i" && named=1 || return 1 ;;
            serial=*) [[ " ${B2CT_D_SERIALS[i]} " == *" ${condition#*=} "* ]] && named=1 || return 1 ;;
            path=*) [[ $B2CT_SYSROOT${condition#*=} -ef $B2CT_SYSROOT/dev/${B2CT_D_NAME[i]} ]] && named=1 || return 1 ;;
            size=*) b2ct_has_size "${condition#*=}" "$i" || return 1 ;;
            smallest) ;;
            *) return 1 ;;
        esac
    done
    [[ -z ${B2CT_D_NAMED[i]} || -n $named ]]
}

# b2ct_has_wwn WWN I: in any spelling: 0x5000..., naa.5000..., wwn-0x5000..., eui.0025...
b2ct_has_wwn() {
    local want have haves status=1
    want=$(b2ct_bare_wwn "$1")
    read -r -a haves <<<"${B2CT_D_WWNS[$2]}"
    shopt -s nocasematch
    for have in "${haves[@]}"; do
        if [[ $(b2ct_bare_wwn "$have") == "$want" ]]; then status=0; fi
    done
    shopt -u nocasematch
    return $status
}

# b2ct_bare_wwn WWN: print it without its prefixes.
b2ct_bare_wwn() {
    local wwn=$1
    wwn=${wwn#wwn-}
    wwn=${wwn#0[xX]}
    wwn=${wwn#naa.}
    printf '%s' "${wwn#eui.}"
}

# b2ct_has_size BYTES I: within 5 %.
b2ct_has_size() {
    local off
    if [[ -z $1 || $1 == *[!0-9]* ]]; then return 1; fi
    off=$((B2CT_D_BYTES[$2] - 10#$1))
    ((${off#-} * 20 <= 10#$1))
}

# b2ct_fitting RULE TIMES: leave in B2CT_FITTING the disks (indices) that RULE fits; the site file has it TIMES times.
b2ct_fitting() {
    local rule=$1 times=$2 i j smaller all=()
    B2CT_FITTING=()
    for ((i = 0; i < ${#B2CT_D_NAME[@]}; i++)); do
        if b2ct_fits "$rule" "$i"; then all[${#all[@]}]=$i; fi
    done
    for i in "${all[@]}"; do
        smaller=0
        if [[ ,$rule, == *,smallest,* ]]; then
            for j in "${all[@]}"; do
                if ((B2CT_D_BYTES[j] < B2CT_D_BYTES[i])); then smaller=$((smaller + 1)); fi
            done
        fi
        # Disks of one size are kept or dropped together: then too many fit, and that is refused.
        if ((smaller < times)); then B2CT_FITTING[${#B2CT_FITTING[@]}]=$i; fi
    done
}

# b2ct_disks_by_rules: leave in B2CT_DISKS the disks that the site's rules choose. Returns 1 when there are no rules, or
# (with the reason in B2CT_DISK_PROBLEM) unless every rule fits exactly one disk and no two the same. A rule that the
# site file has twice, as for a mirror of two equal disks, must fit exactly two.
b2ct_disks_by_rules() {
    local rule other names i before times chosen=
    B2CT_DISKS=''
    B2CT_DISK_PROBLEM=''
    if ((${#B2CT_DISK_RULES[@]} == 0)); then return 1; fi
    if ((${#B2CT_DISK_RULES[@]} != B2CT_DISK_COUNT)); then
        B2CT_DISK_PROBLEM="The site file has ${#B2CT_DISK_RULES[@]} disk rule(s) for this host, not $B2CT_DISK_COUNT."
        return 1
    fi
    for ((i = 0; i < ${#B2CT_DISK_RULES[@]}; i++)); do
        rule=${B2CT_DISK_RULES[i]}
        before=0 times=0
        for other in "${B2CT_DISK_RULES[@]:0:i}"; do if [[ $other == "$rule" ]]; then before=$((before + 1)); fi; done
        for other in "${B2CT_DISK_RULES[@]}"; do if [[ $other == "$rule" ]]; then times=$((times + 1)); fi; done
        b2ct_fitting "$rule" "$times"
        names=
        for other in "${B2CT_FITTING[@]}"; do names="$names ${B2CT_D_NAME[other]}"; done
        if ((${#B2CT_FITTING[@]} != times)); then
            B2CT_DISK_PROBLEM="The rule \"$rule\" must fit exactly $times disk(s), but fits"
            B2CT_DISK_PROBLEM="$B2CT_DISK_PROBLEM ${#B2CT_FITTING[@]}${names:+:$names}."
            return 1
        fi
        other=${B2CT_D_NAME[B2CT_FITTING[before]]}
        if [[ " $chosen " == *" $other "* ]]; then
            B2CT_DISK_PROBLEM="Two rules fit the same disk, $other."
            return 1
        fi
        chosen="$chosen $other"
    done
    B2CT_DISKS=${chosen# }
    b2ct_log "disks by the site's rules: $B2CT_DISKS"
}

# b2ct_print_disks: the table of every disk.
b2ct_print_disks() {
    local i verdict wwn
    printf '\n  %-12s %11s  %-24s %s\n' DISK SIZE MODEL SERIAL
    for ((i = 0; i < ${#B2CT_D_NAME[@]}; i++)); do
        verdict='can be used'
        if [[ -n ${B2CT_D_WHY[i]} ]]; then verdict="refused: ${B2CT_D_WHY[i]}"; fi
        wwn=${B2CT_D_WWNS[i]%% *}
        printf '  %-12s %11s  %-24.24s %s\n' "${B2CT_D_NAME[i]}" "$(b2ct_gb "$i")" "${B2CT_D_MODEL[i]:--}" \
            "${B2CT_D_SERIALS[i]%% *}"
        printf '               %s%s\n' "${wwn:+WWN $wwn, }" "$verdict"
    done
    if ((${#B2CT_D_NAME[@]} == 0)); then printf '  (no disk was found: is a driver or a cable missing?)\n'; fi
    printf '\n'
}

# b2ct_gb I: print the size of a disk as its label does.
b2ct_gb() {
    local tenths=$((B2CT_D_BYTES[$1] / 100000000))
    printf '%d.%d GB' $((tenths / 10)) $((tenths % 10))
}

# b2ct_ask_disks: let a person type which disks to erase; they are left in B2CT_DISKS. There is no default and no
# time-out. Looking again (r) takes the site's rules when they fit by then.
b2ct_ask_disks() {
    local picked
    while :; do
        b2ct_print_disks
        picked=
        while b2ct_need_disk "$picked"; do
            case $B2CT_REPLY in
                r | R)
                    b2ct_scan_disks
                    if b2ct_disks_by_rules; then return; fi
                    continue 2
                    ;;
            esac
            if b2ct_may_use "$B2CT_REPLY" "$picked"; then picked="$picked $B2CT_REPLY"; fi
        done
        b2ct_say "Everything on ${picked# } will be ERASED."
        b2ct_ask "Type yes to erase, anything else to choose again" ''
        if [[ $B2CT_REPLY == yes ]]; then
            B2CT_DISKS=${picked# }
            return
        fi
    done
}

# b2ct_need_disk PICKED: ask for the next disk, unless there are enough.
b2ct_need_disk() {
    local words
    read -r -a words <<<"$1"
    if ((${#words[@]} >= B2CT_DISK_COUNT)); then return 1; fi
    b2ct_ask "Disk $((${#words[@]} + 1)) of $B2CT_DISK_COUNT to erase and install on (or r: look for disks again)" ''
}

# b2ct_may_use NAME PICKED: whether a person may take this disk; says why not.
b2ct_may_use() {
    local name=$1 i
    for ((i = 0; i < ${#B2CT_D_NAME[@]}; i++)); do
        if [[ ${B2CT_D_NAME[i]} != "$name" ]]; then continue; fi
        if [[ -n ${B2CT_D_WHY[i]} ]]; then
            b2ct_say "$name is refused: ${B2CT_D_WHY[i]}."
            return 1
        elif [[ " $2 " == *" $name "* ]]; then
            b2ct_say "$name is chosen already; the mirror needs two disks."
            return 1
        fi
        return 0
    done
    b2ct_say "There is no disk \"$(b2ct_clean "$name")\". Type a name from the first column."
    return 1
}
