/* Records what the program that it is preloaded into does to the files of a folder, in the order in which it is done:
   writes, truncations, syncs, renames, removals. Nothing is really synced. From the record, tests/proof/power.py makes
   what a power failure would have left. POWER_FOLDER: the folder. POWER_JOURNAL: file that the record is appended to. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static size_t folder_length;
static int journal = -1;
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);

__attribute__((constructor)) static void begin(void) {
    real_write = REAL(write);
    real_pwrite = REAL(pwrite);
    real_ftruncate = REAL(ftruncate);
    const char *path = getenv("POWER_JOURNAL");
    folder = getenv("POWER_FOLDER");
    if (!path || !folder) return;
    folder_length = strlen(folder);
    journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int ours(const char *path) {
    return journal >= 0 && !strncmp(path, folder, folder_length) && path[folder_length] == '/';
}

/* Put the path of a file that is open into `path`; return whether it is in the folder. */
static int path_of(int file, char *path) {
    char link[64];
    if (journal < 0 || file == journal) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return ours(path);
}

static void record(char kind, const char *path, uint64_t offset, const void *data, uint64_t length) {
    uint16_t name = strlen(path);
    uint8_t head[19];
    head[0] = kind;
    memcpy(head + 1, &name, 2);
    memcpy(head + 3, &offset, 8);
    memcpy(head + 11, &length, 8);
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, name}, {(void *)data, length}};
    if (writev(journal, parts, 3) < 0) abort();
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    char path[PATH_MAX];
    if (!path_of(file, path)) return real_pwrite(file, data, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t done = real_pwrite(file, data, length, offset);
    if (done > 0) record('w', path, offset, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t length, off_t offset) { return pwrite(file, data, length, offset); }

ssize_t write(int file, const void *data, size_t length) {
    char path[PATH_MAX];
    if (!path_of(file, path)) return real_write(file, data, length);
    pthread_mutex_lock(&lock);
    ssize_t done = real_write(file, data, length);
    if (done > 0) record('w', path, lseek(file, 0, SEEK_CUR) - done, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int file, off_t length) {
    char path[PATH_MAX];
    if (!path_of(file, path)) return real_ftruncate(file, length);
    pthread_mutex_lock(&lock);
    int code = real_ftruncate(file, length);
    if (!code) record('t', path, length, "", 0);
    pthread_mutex_unlock(&lock);
    return code;
}

int ftruncate64(int file, off_t length) { return ftruncate(file, length); }

static int synced(int file, int (*real)(int)) {
    char path[PATH_MAX];
    if (!path_of(file, path)) return real(file);
    pthread_mutex_lock(&lock);
    record('s', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int file) { return synced(file, REAL(fsync)); }

int fdatasync(int file) { return synced(file, REAL(fdatasync)); }

int unlink(const char *path) {
    int code = REAL(unlink)(path);
    if (!code && ours(path)) record('u', path, 0, "", 0);
    return code;
}

int rename(const char *from, const char *to) {
    int code = REAL(rename)(from, to);
    if (!code && ours(from)) record('r', from, 0, to, strlen(to));
    return code;
}
