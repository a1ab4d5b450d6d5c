/*
 * A disk that fails when a test says so, for a process that knows nothing of it (LD_PRELOAD; Linux, glibc). Disk.ts
 * builds it, drives it, and reads what it writes down.
 *
 * It acts on regular files below CPT_DISK_DIR, and on that directory's own syncs; on nothing else. SQLite's -shm file
 * is left alone: it is memory that happens to have a name, and no disk has to keep it. Two jobs:
 *
 * - Faults, switched while the process runs: CPT_DISK_CONTROL names a file with a `struct control`, mapped by us and
 *   written by the test.
 * - Power loss: with CPT_DISK_LOG each change is also appended to that file, and each sync once it has returned. What a
 *   disk may hold after the power went follows from the log, so then nothing is really synced: the log is the disk.
 *
 * It covers the calls that SQLite and fs make in Node, and no others: not dup, mmap, fallocate, pwritev and the like.
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
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The next library's function of the name that is being defined, looked up when first called: maybe before init. */
#define NEXT(name)                                                                                                     \
  static __typeof__(&name) next;                                                                                       \
  if (!next) next = (__typeof__(&name)) dlsym(RTLD_NEXT, #name)

/* ---- What the test says: the same numbers are in Disk.ts ---- */

enum { NONE, FULL, WRITE_ERROR, SYNC_ERROR, READ_ONLY, SLOW_SYNC, SLOW_WRITE, READ_ERROR, HELD_SYNC };

struct control {
  uint32_t fault;
  uint32_t parameter;   /* milliseconds of SLOW_*; of FULL, the bytes that there is still room for */
  int64_t clock;        /* milliseconds that the wall clock is ahead */
  uint32_t syncs_begun; /* from here on we count, and the test reads */
  uint32_t syncs_done;
  uint32_t faults;
};

static struct control idle;
static volatile struct control *control = &idle;

static void count(volatile uint32_t *counter) { __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST); }

static int failed(int error) {
  count(&control->faults);
  errno = error;
  return -1;
}

static void wait_a_millisecond(void) {
  struct timespec span = {0, 1000000};
  nanosleep(&span, NULL);
}

/* Waits as long as the fault says, or until it is another one: a test that is over waits for nobody. */
static void wait_in(uint32_t fault) {
  for (uint32_t i = 0; control->fault == fault && (fault == HELD_SYNC || i < control->parameter); i++)
    wait_a_millisecond();
}

/* ---- Which files ---- */

struct file {
  uint32_t id; /* in the log, of this opening */
  int is_directory;
  int appends;
  char path[]; /* below the directory; empty for itself */
};

static char directory[PATH_MAX];
static size_t directory_length;
static struct file *files[1 << 16]; /* by file descriptor */

static struct file *file_of(int fd) {
  return fd >= 0 && fd < (int) (sizeof files / sizeof *files) ? __atomic_load_n(&files[fd], __ATOMIC_SEQ_CST) : NULL;
}

static struct file *regular(int fd) {
  struct file *file = file_of(fd);
  return file && !file->is_directory ? file : NULL;
}

/* The path as it is below the directory, or NULL if it is elsewhere. */
static const char *below(int dirfd, const char *path, char *buffer) {
  if (directory_length == 0) return NULL;
  if (path[0] != '/') {
    char link[64];
    if (dirfd == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    ssize_t length = readlink(link, buffer, PATH_MAX);
    if (length < 0 || length + strlen(path) + 2 > PATH_MAX) return NULL;
    buffer[length] = '/';
    strcpy(buffer + length + 1, path);
    path = buffer;
  }
  if (strncmp(path, directory, directory_length) != 0) return NULL;
  path += directory_length;
  if (*path == '\0') return path;
  if (*path != '/') return NULL;
  while (*path == '/') path++;
  size_t length = strlen(path);
  return length >= 4 && strcmp(path + length - 4, "-shm") == 0 ? NULL : path;
}

/* ---- The log ---- */

/* `offset` of a sync: where the log ended when it began, since it covers no more. Of OPENED: 1 for a directory. */
enum { FOUND = 1, OPENED, WRITTEN, TRUNCATED, UNLINKED, RENAMED, SYNCED, SYNC_FAILED };

struct record {
  uint32_t kind;
  uint32_t id;
  uint64_t offset;
  uint64_t size; /* of the bytes that follow: data, a path, or two with a NUL between */
};

static int log_fd = -1;
static uint32_t last_id;

/*
 * Held from the record to the change, so that the log has the order of the disk. Records of changes come before the
 * change: a process that is killed between the two has then only planned what no sync has covered.
 */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void begin(void) {
  if (log_fd >= 0) pthread_mutex_lock(&log_lock);
}

static void end(void) {
  int error = errno;
  if (log_fd >= 0) pthread_mutex_unlock(&log_lock);
  errno = error;
}

/* A log that is not the truth would make every test that reads it a lie. */
static void die(const char *why) {
  fprintf(stderr, "disk.c: %s: %s\n", why, strerror(errno));
  abort();
}

static void append(uint32_t kind, uint32_t id, uint64_t offset, const void *data, size_t size) {
  NEXT(writev);
  if (log_fd < 0) return;
  struct record record = {kind, id, offset, size};
  struct iovec parts[] = {{&record, sizeof record}, {(void *) data, size}};
  if (next(log_fd, parts, 2) != (ssize_t) (sizeof record + size)) die("cannot write the log");
}

static uint64_t log_end(void) {
  struct stat at;
  return log_fd >= 0 && fstat(log_fd, &at) == 0 ? (uint64_t) at.st_size : 0;
}

__attribute__((constructor)) static void init(void) {
  const char *dir = getenv("CPT_DISK_DIR"), *switches = getenv("CPT_DISK_CONTROL"), *log = getenv("CPT_DISK_LOG");
  if (switches) {
    int fd = open(switches, O_RDWR | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof idle, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) die("cannot map CPT_DISK_CONTROL");
    close(fd);
    control = mapped;
  }
  if (log && (log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0) die("cannot open CPT_DISK_LOG");
  if (dir && realpath(dir, directory)) directory_length = strlen(directory);
}

/* ---- Opening and closing ---- */

static void track(int fd, const char *path, int flags) {
  struct stat status;
  if (fd < 0 || fd >= (int) (sizeof files / sizeof *files)) return;
  free(files[fd]); /* of somebody who closed it in a way that we do not see */
  files[fd] = NULL;
  if (!path || fstat(fd, &status) != 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) return;
  struct file *file = malloc(sizeof *file + strlen(path) + 1);
  file->is_directory = S_ISDIR(status.st_mode);
  file->appends = (flags & O_APPEND) != 0;
  file->id = ++last_id;
  strcpy(file->path, path);
  append(OPENED, file->id, file->is_directory, path, strlen(path));
  __atomic_store_n(&files[fd], file, __ATOMIC_SEQ_CST);
}

int openat(int dirfd, const char *name, int flags, ...) {
  NEXT(openat);
  mode_t mode = 0;
  if (flags & O_CREAT) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  char buffer[PATH_MAX];
  const char *path = below(dirfd, name, buffer);
  if (!path) {
    int fd = next(dirfd, name, flags, mode);
    track(fd, NULL, 0);
    return fd;
  }
  if (control->fault == READ_ONLY && (flags & O_ACCMODE) != O_RDONLY) return failed(EROFS);
  if (control->fault == FULL && control->parameter == 0 && flags & O_CREAT && faccessat(dirfd, name, F_OK, 0) != 0)
    return failed(ENOSPC);
  begin();
  int fd = next(dirfd, name, flags & ~O_TRUNC, mode);
  track(fd, path, flags);
  end();
  if (fd >= 0 && flags & O_TRUNC && ftruncate(fd, 0) != 0) { /* our own, so that it is logged */
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

int open(const char *name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return openat(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...) __attribute__((alias("open")));
int openat64(int dirfd, const char *name, int flags, ...) __attribute__((alias("openat")));

int close(int fd) {
  NEXT(close);
  struct file *file = file_of(fd);
  if (file) {
    files[fd] = NULL; /* before the number is free for somebody else's */
    free(file);
  }
  return next(fd);
}

/* ---- Changes ---- */

/* How many of so many bytes the disk takes now, or -1. */
static ssize_t taken(size_t wanted) {
  switch (control->fault) {
    case FULL: {
      uint32_t left = control->parameter, part;
      do part = wanted < left ? (uint32_t) wanted : left;
      while (!__atomic_compare_exchange_n(&control->parameter, &left, left - part, 0, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
      return part == 0 && wanted > 0 ? failed(ENOSPC) : (ssize_t) part;
    }
    case WRITE_ERROR: return failed(EIO);
    case READ_ONLY: return failed(EROFS);
    case SLOW_WRITE: wait_in(SLOW_WRITE);
  }
  return wanted;
}

static void written(struct file *file, int fd, const void *data, size_t size, off_t offset) {
  struct stat status;
  if (offset < 0) offset = file->appends && fstat(fd, &status) == 0 ? status.st_size : lseek(fd, 0, SEEK_CUR);
  append(WRITTEN, file->id, offset, data, size);
}

static ssize_t as_logged(ssize_t done, ssize_t planned) {
  if (log_fd >= 0 && done != planned) die("the log has a write that the disk did not take");
  return done;
}

ssize_t write(int fd, const void *data, size_t size) {
  NEXT(write);
  struct file *file = regular(fd);
  if (!file) return next(fd, data, size);
  ssize_t part = taken(size);
  if (part < 0) return -1;
  begin();
  written(file, fd, data, part, -1);
  part = as_logged(next(fd, data, part), part);
  end();
  return part;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  NEXT(pwrite);
  struct file *file = regular(fd);
  if (!file) return next(fd, data, size, offset);
  ssize_t part = taken(size);
  if (part < 0) return -1;
  begin();
  written(file, fd, data, part, offset);
  part = as_logged(next(fd, data, part, offset), part);
  end();
  return part;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) __attribute__((alias("pwrite")));

ssize_t writev(int fd, const struct iovec *parts, int length) {
  NEXT(writev);
  if (!regular(fd)) return next(fd, parts, length);
  ssize_t done = 0;
  for (int i = 0; i < length; i++) {
    ssize_t part = write(fd, parts[i].iov_base, parts[i].iov_len);
    if (part < 0) return done > 0 ? done : -1;
    done += part;
    if (part < (ssize_t) parts[i].iov_len) break;
  }
  return done;
}

int ftruncate(int fd, off_t size) {
  NEXT(ftruncate);
  struct stat status;
  struct file *file = regular(fd);
  if (!file) return next(fd, size);
  if (control->fault == READ_ONLY) return failed(EROFS);
  if (control->fault == WRITE_ERROR) return failed(EIO);
  if (control->fault == FULL && fstat(fd, &status) == 0 && size > status.st_size + (off_t) control->parameter)
    return failed(ENOSPC);
  begin();
  append(TRUNCATED, file->id, size, NULL, 0);
  int done = (int) as_logged(next(fd, size), 0);
  end();
  return done;
}

int ftruncate64(int fd, off64_t size) __attribute__((alias("ftruncate")));

int unlinkat(int dirfd, const char *name, int flags) {
  NEXT(unlinkat);
  char buffer[PATH_MAX];
  const char *path = flags & AT_REMOVEDIR ? NULL : below(dirfd, name, buffer);
  if (!path) return next(dirfd, name, flags);
  if (control->fault == READ_ONLY) return failed(EROFS);
  begin();
  int known = faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  if (known) append(UNLINKED, 0, 0, path, strlen(path));
  int done = next(dirfd, name, flags);
  if (known) as_logged(done, 0);
  end();
  return done;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int rename(const char *from, const char *to) {
  NEXT(rename);
  char from_buffer[PATH_MAX], to_buffer[PATH_MAX], both[2 * PATH_MAX];
  const char *old = below(AT_FDCWD, from, from_buffer), *new = below(AT_FDCWD, to, to_buffer);
  if (!old || !new) return next(from, to); /* nobody moves files in or out */
  if (control->fault == READ_ONLY) return failed(EROFS);
  begin();
  int known = faccessat(AT_FDCWD, from, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  int length = snprintf(both, sizeof both, "%s%c%s", old, '\0', new);
  if (known) append(RENAMED, 0, 0, both, length);
  int done = next(from, to);
  if (known) as_logged(done, 0);
  end();
  return done;
}

int mkdir(const char *name, mode_t mode) {
  NEXT(mkdir);
  char buffer[PATH_MAX];
  if (control->fault == READ_ONLY && below(AT_FDCWD, name, buffer)) return failed(EROFS);
  return next(name, mode);
}

/* ---- Syncs ---- */

static int synced(int fd, int (*next)(int)) {
  struct file *file = file_of(fd);
  if (!file) return next(fd);
  begin(); /* a write that is logged and not yet done is waited for */
  uint64_t begun = log_end();
  end();
  count(&control->syncs_begun);
  if (control->fault == SLOW_SYNC || control->fault == HELD_SYNC) wait_in(control->fault);
  if (control->fault == SYNC_ERROR) {
    begin();
    append(SYNC_FAILED, file->id, begun, NULL, 0);
    end();
    return failed(EIO);
  }
  if (log_fd < 0 && next(fd) != 0) return -1;
  begin();
  append(SYNCED, file->id, begun, NULL, 0);
  end();
  count(&control->syncs_done);
  return 0;
}

int fsync(int fd) {
  NEXT(fsync);
  return synced(fd, next);
}

int fdatasync(int fd) {
  NEXT(fdatasync);
  return synced(fd, next);
}

/* ---- Reads ---- */

static int unreadable(int fd) { return control->fault == READ_ERROR && regular(fd) && failed(EIO); }

ssize_t read(int fd, void *data, size_t size) {
  NEXT(read);
  return unreadable(fd) ? -1 : next(fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset) {
  NEXT(pread);
  return unreadable(fd) ? -1 : next(fd, data, size, offset);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) __attribute__((alias("pread")));

/* ---- The wall clock; the monotonic one stays, as it does when somebody sets the time ---- */

static struct timespec moved(struct timespec at) {
  int64_t clock = control->clock;
  at.tv_sec += clock / 1000;
  at.tv_nsec += clock % 1000 * 1000000;
  if (at.tv_nsec < 0) at.tv_nsec += 1000000000, at.tv_sec--;
  if (at.tv_nsec >= 1000000000) at.tv_nsec -= 1000000000, at.tv_sec++;
  return at;
}

int clock_gettime(clockid_t id, struct timespec *at) {
  NEXT(clock_gettime);
  int done = next(id, at);
  if (done == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) *at = moved(*at);
  return done;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  NEXT(gettimeofday);
  int done = next(at, zone);
  if (done != 0) return done;
  struct timespec exact = moved((struct timespec){at->tv_sec, at->tv_usec * 1000});
  at->tv_sec = exact.tv_sec;
  at->tv_usec = exact.tv_nsec / 1000;
  return done;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
