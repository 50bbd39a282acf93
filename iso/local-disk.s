# Boots the machine's own disk: isolinux loads this at 0000:7c00 as a "CD boot sector" (doc/syslinux.txt, KERNEL, .bin).
#
# isolinux' own `localboot` cannot do it from a USB stick: 0x80 is then the stick itself, and many BIOSes have no next
# device to go on with. This takes the first hard disk that is not the one we were started from and that has a boot record.
#
#   as --32 -o local-disk.o local-disk.s && objcopy -O binary local-disk.o local-disk.bin      (GNU binutils)
        .intel_syntax noprefix
        .code16
        .equ    LOADED, 0x7c00          # where boot records run
        .equ    MOVED, 0x0600           # where we go, out of their way
        .equ    OURS, 0x0800            # the drive that we were started from

start:  cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, LOADED
        sti
        cld
        mov     si, LOADED
        mov     di, MOVED
        mov     cx, 256
        rep movsw
        jmp     0:(MOVED + moved - start)

moved:  mov     [OURS], dl
        mov     dl, 0x7f
next:   inc     dl
        cmp     dl, 0x88                # eight disks are enough
        jae     none
        cmp     dl, [OURS]
        je      next
        push    dx
        mov     ax, 0x0201              # INT 13h, AH=02h: read one sector,
        mov     bx, LOADED
        mov     cx, 0x0001              # cylinder 0, sector 1
        mov     dh, 0                   # head 0
        int     0x13
        pop     dx
        jc      next
        cmp     word ptr [LOADED + 510], 0xaa55
        jne     next
        jmp     0:LOADED

none:   int     0x18                    # let the BIOS go on
halt:   hlt
        jmp     halt
