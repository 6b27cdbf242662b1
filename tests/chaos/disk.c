/* A disk that fails on demand, preloaded: the n-th call of one kind on a path below a folder fails, and all that follow, or it alone.
 *
 * The process arms it itself: `disk_fails(error, "write", 3, "/folder", lasting)`. Calls that were not armed go through.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char armed[16], folder[PATH_MAX];
static int fault, lasting;
static long left, struck;

void disk_fails(int error, const char *kind, long number, const char *below, int and_after) {
    fault = error;
    left = number;
    lasting = and_after;
    struck = 0;
    snprintf(armed, sizeof armed, "%s", kind);
    snprintf(folder, sizeof folder, "%s", below);
}

long disk_has_failed(void) { return struck; }

static int fails(const char *kind, const char *path) {
    if (!*armed || strcmp(armed, kind) || !path || strncmp(path, folder, strlen(folder)))
        return 0;
    if (left > 1) {
        left--;
        return 0;
    }
    if (struck && !lasting)
        return 0;
    struck++;
    errno = fault;
    return 1;
}

static int descriptor_fails(const char *kind, int descriptor) {
    char link[64], path[PATH_MAX];
    if (!*armed || strcmp(armed, kind))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(kind, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENING(name)                                                                                                                      \
    int name(const char *path, int flags, ...) {                                                                                           \
        va_list rest;                                                                                                                      \
        va_start(rest, flags);                                                                                                             \
        mode_t mode = va_arg(rest, mode_t);                                                                                                \
        va_end(rest);                                                                                                                      \
        if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) && fails("open", path))                                                                \
            return -1;                                                                                                                     \
        if (!(flags & (O_CREAT | O_WRONLY | O_RDWR)) && fails("read", path))                                                               \
            return -1;                                                                                                                     \
        return REAL(name)(path, flags, mode);                                                                                              \
    }
OPENING(open)
OPENING(open64)

ssize_t write(int descriptor, const void *bytes, size_t count) {
    return descriptor_fails("write", descriptor) ? -1 : REAL(write)(descriptor, bytes, count);
}

int fsync(int descriptor) { return descriptor_fails("fsync", descriptor) ? -1 : REAL(fsync)(descriptor); }

int rename(const char *from, const char *to) { return fails("rename", to) ? -1 : REAL(rename)(from, to); }

int mkdir(const char *path, mode_t mode) { return fails("mkdir", path) ? -1 : REAL(mkdir)(path, mode); }
