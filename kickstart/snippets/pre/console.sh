# shellcheck shell=bash
# Talking to the person at the machine, from %pre: the console that Anaconda shows, questions with time-outs, a log.
# This file only defines functions. It keeps to what bash 3.2 and the install environments of EL6 to EL10 have: no
# stty, lsblk, tr or printf program, and no /dev/fd in some.

# b2ct_log TEXT: note it in pre.log.
b2ct_log() {
    printf '%5d s  %s\n' "$SECONDS" "$*" >>"$B2CT_RUN_DIR/pre.log"
}

# b2ct_say TEXT: one line for the person, and for the log.
b2ct_say() {
    printf '%s\n' "$*"
    b2ct_log "$*"
}

# b2ct_clean TEXT: print TEXT as one short line of plain ASCII, so that nothing in it can act on a terminal.
b2ct_clean() {
    local text=${1:0:60}
    printf '%s' "${text//[! -~]/?}"
}

# b2ct_first_line FILE: print its first line without blanks around it; nothing when it cannot be read.
b2ct_first_line() {
    local line=
    { read -r line <"$1"; } 2>/dev/null
    printf '%s' "$line"
}

# b2ct_serial_console: print the device of a serial console (ttyS0, hvc0); nothing when the screen is the console.
# The kernel makes the last console= the one that Anaconda shows.
b2ct_serial_console() {
    local word words last=
    { read -r -a words <"$B2CT_SYSROOT/proc/cmdline"; } 2>/dev/null
    for word in "${words[@]}"; do
        case $word in console=*) last=${word#console=} ;; esac
    done
    case $last in
        '' | tty | tty[0-9]*) ;;
        *) printf '%s' "${last%%,*}" ;;
    esac
}

# b2ct_console_open: from here standard input and output are the console. Waits for ever when there is none, because
# every way on would be a guess.
b2ct_console_open() {
    local tty=$B2CT_SYSROOT$B2CT_TTY serial
    B2CT_SHOWN_VT=
    if [[ $B2CT_TTY == /dev/tty[0-9]* ]]; then # EL6: a virtual terminal of our own, which must be brought to the front
        serial=$(b2ct_serial_console)
        if [[ -n $serial ]]; then
            tty=$B2CT_SYSROOT/dev/$serial
        else
            B2CT_SHOWN_VT=${B2CT_TTY#/dev/tty}
        fi
    fi
    if ! b2ct_console_usable "$tty"; then
        b2ct_say "b2ct: answers are needed, but $tty cannot be opened. Waiting; nothing has been erased."
        until b2ct_console_usable "$tty"; do sleep 10; done
    fi
    exec 7<&0 8>&1 9>&2
    exec <>"$tty" >&0 2>&0
    trap '' INT QUIT TSTP # Ctrl-C must not let the installation go on without answers
    if [[ -n $B2CT_SHOWN_VT ]]; then chvt "$B2CT_SHOWN_VT"; fi
}

# b2ct_console_usable TTY: whether it can be opened for reading and writing.
b2ct_console_usable() {
    [[ -c $1 ]] && (: <>"$1") 2>/dev/null
}

# b2ct_console_close: undo b2ct_console_open.
b2ct_console_close() {
    if [[ -n $B2CT_SHOWN_VT ]]; then chvt 1; fi
    trap - INT QUIT TSTP
    exec 0<&7 1>&8 2>&9 7<&- 8>&- 9>&-
}

# b2ct_ask QUESTION DEFAULT: ask until there is an answer; it is left in B2CT_REPLY, one line of plain ASCII.
# An empty answer means DEFAULT, and so does silence for B2CT_ASK_TIMEOUT_S seconds (0: no time-out). Without a
# DEFAULT the question comes again and again.
b2ct_ask() {
    local question=$1 default=$2 started=$SECONDS left line status
    if [[ -n $default ]]; then question="$question [$default]"; fi
    while :; do
        printf '%s: ' "$question"
        left=$((B2CT_ASK_TIMEOUT_S - (SECONDS - started)))
        line=
        status=1
        if ((B2CT_ASK_TIMEOUT_S == 0)); then
            read -r line
            status=$?
        elif ((left > 0)); then
            read -r -t "$left" line
            status=$?
        fi
        if ((status != 0)); then
            printf '\n'
            # Out of time, or the terminal was closed (which counts as silence).
            if ((B2CT_ASK_TIMEOUT_S == 0 || SECONDS - started < B2CT_ASK_TIMEOUT_S)); then
                sleep 1
            elif [[ -n $default ]]; then
                b2ct_say "No answer: taking $default."
                B2CT_REPLY=$default
                return
            else
                started=$SECONDS
            fi
        elif [[ ${#line} -gt 255 || $line == *[!\ -~]* ]]; then
            b2ct_say "That is too long, or has characters other than plain letters, digits and signs."
            started=$SECONDS
        elif [[ -n $line || -n $default ]]; then
            B2CT_REPLY=${line:-$default}
            b2ct_log "$question: $B2CT_REPLY"
            return
        fi
    done
}
