#include "random.h"

#include <errno.h>
#include <string.h>
#if defined(__linux__)
#include <sys/random.h>
#else
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif
#endif

int kernel_random(uint8_t *out, size_t size)
{
    size_t have = 0;
#if defined(__linux__)
    while (have < size) {
        ssize_t got = getrandom(out + have, size - have, 0);
        if (got > 0)
            have += (size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
#else
    if (getentropy(out, size) == 0)
        have = size;
#endif
    if (have == size)
        return 1;
    memset(out, 0, size);
    return 0;
}
