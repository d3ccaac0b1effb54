/* Lets the n-th call of one function fail with ENOSPC or EIO, in files whose path holds a text.

   FAULT_CALL: pwrite, write, fsync, close or rename; FAULT_NUMBER: which call, from 1; that call and all
   after it fail. FAULT_PATH: only files whose path holds this. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long count;

static int is_named(const char *path) {
    const char *part = getenv("FAULT_PATH");
    return path && part && strstr(path, part);
}

static int fails(const char *call, const char *path) {
    const char *wanted = getenv("FAULT_CALL"), *number = getenv("FAULT_NUMBER");
    if (!wanted || !number || strcmp(wanted, call) || !is_named(path)) return 0;
    return __sync_add_and_fetch(&count, 1) >= atol(number);
}

static int fails_on(const char *call, int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (fails_on("write", fd)) { errno = ENOSPC; return -1; }
    return real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    if (fails_on("pwrite", fd)) { errno = ENOSPC; return -1; }
    return real(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    if (fails_on("pwrite", fd)) { errno = ENOSPC; return -1; }
    return real(fd, data, size, offset);
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    if (fails_on("fsync", fd)) { errno = EIO; return -1; }
    return real(fd);
}

int close(int fd) {
    REAL(int, "close", int);
    if (fails_on("close", fd)) { real(fd); errno = EIO; return -1; }
    return real(fd);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (fails("rename", from)) { errno = EIO; return -1; }
    return real(from, to);
}
