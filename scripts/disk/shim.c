/* A disk that is watched, and one that becomes full: preloaded (LD_PRELOAD) into a program of
 * scripts/disk/disk.py.
 *
 * Every change of a file or name below DISK_ROOT is noted in the file DISK_LOG, in the order in
 * which it came about. The file is mapped before the program's sandbox is entered: noting needs no
 * system call. With DISK_FULL_AT=n the n-th change that needs room fails with ENOSPC; a write fails
 * after half of its bytes. So do all after it, or with DISK_FULL_ONCE=1 only this one. With
 * DISK_FULL_SYNC=1 only fsync counts, as file systems that give room late refuse it.
 *
 * A note: letter, 3 bytes unused, u32 length of the name, u64 inode, u64 offset, u32 length of the
 * data, 4 bytes unused, name, data. Letters: C created, W written, T truncated, S synced, D folder
 * synced, R renamed (data: the new name), L linked, U unlinked, M folder made, X folder removed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX], folder[PATH_MAX];
static size_t root_len;
static unsigned char *log_at, *log_end;
static uint64_t *used;
static long full_at, counted;
static int full_once, full_sync;

/* What a descriptor stands for: nothing of ours, a file, a folder. */
static enum { OTHER, FILE_BELOW, FOLDER_BELOW } kind[FDS];
static uint64_t inode[FDS];
static char names[FDS][256];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_LOG"), *at = getenv("DISK_FULL_AT");
    if (!getenv("DISK_ROOT") || !path || !realpath(getenv("DISK_ROOT"), root)) return;
    root_len = strlen(root);
    full_at = at ? atol(at) : 0;
    full_once = getenv("DISK_FULL_ONCE") != NULL;
    full_sync = getenv("DISK_FULL_SYNC") != NULL;
    if (!getcwd(folder, sizeof folder)) folder[0] = 0;
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    struct stat about;
    if (fd < 0 || fstat(fd, &about)) { perror("disk log"); _exit(99); }
    log_at = mmap(NULL, about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (log_at == MAP_FAILED) { perror("disk log"); _exit(99); }
    log_end = log_at + about.st_size;
    used = (uint64_t *)log_at;
    close(fd);
}

/* The name below the root, without links and dots; 0 if it is elsewhere. */
static int below(const char *path, char *name) {
    char whole[2 * PATH_MAX], *out = name;
    if (!log_at) return 0;
    snprintf(whole, sizeof whole, "%s%s%s", path[0] == '/' ? "" : folder, path[0] == '/' ? "" : "/", path);
    /* Dots by their letters: the programs that are tried make no links. */
    char clean[2 * PATH_MAX] = "";
    for (char *part = strtok_r(whole, "/", &out); part; part = strtok_r(NULL, "/", &out)) {
        if (!strcmp(part, ".")) continue;
        if (!strcmp(part, "..")) { char *last = strrchr(clean, '/'); if (last) *last = 0; continue; }
        strcat(strcat(clean, "/"), part);
    }
    if (strncmp(clean, root, root_len) || (clean[root_len] && clean[root_len] != '/')) return 0;
    snprintf(name, 256, "%s", clean[root_len] ? clean + root_len + 1 : "");
    return 1;
}

static void note(char letter, const char *name, uint64_t ino, uint64_t off, const void *data, size_t len) {
    size_t name_len = strlen(name);
    unsigned char *at = log_at + 8 + *used;
    if (at + 32 + name_len + len > log_end) { fprintf(stderr, "disk log: it is full\n"); _exit(99); }
    uint32_t n = name_len, d = len;
    memset(at, 0, 32);
    at[0] = letter;
    memcpy(at + 4, &n, 4);
    memcpy(at + 8, &ino, 8);
    memcpy(at + 16, &off, 8);
    memcpy(at + 24, &d, 4);
    memcpy(at + 32, name, name_len);
    if (len) memcpy(at + 32 + name_len, data, len);
    *used += 32 + name_len + len;
}

/* Whether there is no room for this change. */
static int is_full(int is_sync) {
    if (!full_at || is_sync != full_sync) return 0;
    counted++;
    return full_once ? counted == full_at : counted >= full_at;
}

static int no_room(void) {
    errno = ENOSPC;
    return -1;
}

#define LOCKED pthread_mutex_lock(&lock)
#define UNLOCKED do { int e = errno; pthread_mutex_unlock(&lock); errno = e; } while (0)
#define IS_FILE(fd) ((fd) >= 0 && (fd) < FDS && kind[fd] == FILE_BELOW)

/* Indexes of SQLite live as long as a program does. */
static int is_index(const char *name) {
    size_t len = strlen(name);
    return len > 4 && !strcmp(name + len - 4, "-shm");
}

static int opened(int fd, const char *path, int flags, int was_there) {
    char name[256];
    if (fd < 0 || fd >= FDS) return fd;
    kind[fd] = OTHER;
    struct stat about;
    if (!below(path, name) || fstat(fd, &about) || is_index(name)) return fd;
    if (S_ISDIR(about.st_mode)) { kind[fd] = FOLDER_BELOW; strcpy(names[fd], name); return fd; }
    if (!S_ISREG(about.st_mode)) return fd;
    kind[fd] = FILE_BELOW;
    inode[fd] = about.st_ino;
    if ((flags & O_TMPFILE) == O_TMPFILE) note('C', "", about.st_ino, 0, NULL, 0);
    else if (!was_there) note('C', name, about.st_ino, 0, NULL, 0);
    else if (flags & O_TRUNC) note('T', "", about.st_ino, 0, NULL, 0);
    return fd;
}

static int do_open(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    char name[256];
    struct stat about;
    LOCKED;
    int was_there = !(flags & O_CREAT) || !lstat(path, &about);
    int fd = !was_there && below(path, name) && is_full(0) ? no_room() : real(path, flags, mode);
    fd = opened(fd, path, flags, was_there);
    UNLOCKED;
    return fd;
}

#define MODE(flags) ({ \
    mode_t m = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list a; \
        va_start(a, flags); \
        m = va_arg(a, mode_t); \
        va_end(a); \
    } \
    m; \
})

int open(const char *path, int flags, ...) { return do_open(REAL(open), path, flags, MODE(flags)); }
int open64(const char *path, int flags, ...) { return do_open(REAL(open64), path, flags, MODE(flags)); }

/* Walks through folders open what is inside by its descriptor: to remove it, not to write it. */
int close(int fd) {
    LOCKED;
    if (fd >= 0 && fd < FDS) kind[fd] = OTHER;
    int done = REAL(close)(fd);
    UNLOCKED;
    return done;
}

static ssize_t written(int fd, const struct iovec *parts, int count, off64_t at) {
    size_t all = 0;
    for (int i = 0; i < count; i++) all += parts[i].iov_len;
    if (all == 0) return 0;
    char *bytes = malloc(all), *end = bytes;
    for (int i = 0; i < count; i++) { memcpy(end, parts[i].iov_base, parts[i].iov_len); end += parts[i].iov_len; }
    ssize_t done;
    if (is_full(0)) {
        /* The first one has room for half of it. */
        done = counted == full_at && all > 1 ? REAL(pwrite64)(fd, bytes, all / 2, at) : no_room();
    } else {
        done = REAL(pwrite64)(fd, bytes, all, at);
    }
    if (done > 0) note('W', "", inode[fd], at, bytes, done);
    free(bytes);
    return done;
}

static ssize_t write_on(int fd, const struct iovec *parts, int count) {
    off64_t at = fcntl(fd, F_GETFL) & O_APPEND ? lseek64(fd, 0, SEEK_END) : lseek64(fd, 0, SEEK_CUR);
    ssize_t done = written(fd, parts, count, at);
    if (done > 0) lseek64(fd, at + done, SEEK_SET);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t len) {
    if (!IS_FILE(fd)) return REAL(write)(fd, bytes, len);
    struct iovec part = {(void *)bytes, len};
    LOCKED;
    ssize_t done = write_on(fd, &part, 1);
    UNLOCKED;
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!IS_FILE(fd)) return REAL(writev)(fd, parts, count);
    LOCKED;
    ssize_t done = write_on(fd, parts, count);
    UNLOCKED;
    return done;
}

static ssize_t write_at(int fd, const void *bytes, size_t len, off64_t at) {
    struct iovec part = {(void *)bytes, len};
    LOCKED;
    ssize_t done = written(fd, &part, 1, at);
    UNLOCKED;
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    return IS_FILE(fd) ? write_at(fd, bytes, len, at) : REAL(pwrite64)(fd, bytes, len, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
    return IS_FILE(fd) ? write_at(fd, bytes, len, at) : REAL(pwrite)(fd, bytes, len, at);
}

int ftruncate64(int fd, off64_t len) {
    if (!IS_FILE(fd)) return REAL(ftruncate64)(fd, len);
    LOCKED;
    int done = REAL(ftruncate64)(fd, len);
    if (!done) note('T', "", inode[fd], len, NULL, 0);
    UNLOCKED;
    return done;
}
int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

static int synced(int fd, int (*real)(int)) {
    if (fd < 0 || fd >= FDS || kind[fd] == OTHER) return real(fd);
    LOCKED;
    int done = is_full(1) ? no_room() : real(fd);
    if (!done && kind[fd] == FILE_BELOW) note('S', "", inode[fd], 0, NULL, 0);
    if (!done && kind[fd] == FOLDER_BELOW) note('D', names[fd], 0, 0, NULL, 0);
    UNLOCKED;
    return done;
}
int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int rename(const char *from, const char *to) {
    char old[256], new[256];
    struct stat about = {0};
    LOCKED;
    int is_ours = below(from, old) && below(to, new);
    int done = is_ours && is_full(0) ? no_room() : REAL(rename)(from, to);
    if (!done && is_ours) { lstat(to, &about); note('R', old, about.st_ino, 0, new, strlen(new)); }
    UNLOCKED;
    return done;
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    char new[256];
    struct stat about = {0};
    LOCKED;
    int is_ours = below(to, new);
    int done = is_ours && is_full(0) ? no_room() : REAL(linkat)(from_fd, from, to_fd, to, flags);
    if (!done && is_ours) { lstat(to, &about); note('L', new, about.st_ino, 0, NULL, 0); }
    UNLOCKED;
    return done;
}

int unlink(const char *path) {
    char name[256];
    LOCKED;
    int done = REAL(unlink)(path);
    if (!done && below(path, name) && !is_index(name)) note('U', name, 0, 0, NULL, 0);
    UNLOCKED;
    return done;
}

int mkdir(const char *path, mode_t mode) {
    char name[256];
    LOCKED;
    int is_ours = below(path, name);
    int done = is_ours && is_full(0) ? no_room() : REAL(mkdir)(path, mode);
    if (!done && is_ours) note('M', name, 0, 0, NULL, 0);
    UNLOCKED;
    return done;
}

int rmdir(const char *path) {
    char name[256];
    LOCKED;
    int done = REAL(rmdir)(path);
    if (!done && below(path, name)) note('X', name, 0, 0, NULL, 0);
    UNLOCKED;
    return done;
}

/* What is removed with all that is in it is removed by descriptors of folders. */
int unlinkat(int at, const char *path, int flags) {
    char name[256], whole[PATH_MAX + 512];
    LOCKED;
    int is_ours = 0;
    if (at >= 0 && at < FDS && path[0] != '/') {
        snprintf(whole, sizeof whole, "/proc/self/fd/%d", at);
        char place[PATH_MAX];
        ssize_t len = readlink(whole, place, sizeof place - 1);
        if (len > 0) { place[len] = 0; snprintf(whole, sizeof whole, "%s/%s", place, path); is_ours = below(whole, name); }
    } else {
        is_ours = below(path, name);
    }
    int done = REAL(unlinkat)(at, path, flags);
    if (!done && is_ours && !is_index(name)) note(flags & AT_REMOVEDIR ? 'X' : 'U', name, 0, 0, NULL, 0);
    UNLOCKED;
    return done;
}
