// write_all.h: writes to a descriptor until all of it is there.
#pragma once
#include <poll.h>
#include <sys/types.h>

#include <cerrno>
#include <cstdint>

// Writes n_bytes to fd with `write_some(done)`, which is write() or pwrite() from byte `done` on. Returns the bytes
// written; `error` is 0 if these are all.
template <class WriteSome>
int64_t write_all(int fd, int64_t n_bytes, int& error, WriteSome write_some) {
    int64_t done = 0;
    error = 0;
    while (done < n_bytes && error == 0) {
        const ssize_t n = write_some(done);
        if (n > 0) {
            done += n;
        } else if (n == 0) {
            error = EIO;  // POSIX has no such answer; asking again would never end
        } else if (errno == EAGAIN) {
            pollfd wanted{fd, POLLOUT, 0};
            poll(&wanted, 1, -1);
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    return done;
}
