/* A getrandom that fails as told, loaded before the C library's: what the kernel does then is seen from Python. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 0: the system's; 1: no such call; 2: an error; 3: one byte a call, every other one interrupted; 4: always the same */
int getrandom_fault;
unsigned long getrandom_calls;

ssize_t getrandom(void *out, size_t size, unsigned int flags)
{
    getrandom_calls++;
    switch (getrandom_fault) {
    case 1:
        errno = ENOSYS;
        return -1;
    case 2:
        errno = EIO;
        return -1;
    case 3:
        if (getrandom_calls % 2 == 0) {
            errno = EINTR;
            return -1;
        }
        return syscall(SYS_getrandom, out, (size_t)1, flags);
    case 4:
        memset(out, 0x42, size);
        return (ssize_t)size;
    default:
        return syscall(SYS_getrandom, out, size, flags);
    }
}
