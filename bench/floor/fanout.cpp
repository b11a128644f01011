// Many readers of one thing: the peers of bench/run.py's group fanout, and its floor.
//
//   bench_fanout read PORT REQUESTS MARK [--stall N]
//       sends each of REQUESTS (a file: a length in decimal and a line feed, then so many bytes, again and again) on a
//       connection of its own and reads what is answered. Says "ready" when each has been answered something, and, when
//       each connection has read the bytes MARK, one line of JSON. The first N stop reading once they have been
//       answered.
//   bench_fanout write PORT CONNECTIONS THREADS
//       the floor: sockets and nothing else. Waits for so many connections that have sent something, answers each with
//       a few bytes, then takes lines "COUNT BYTES MARK" from its input: so many writes of so many bytes to each
//       connection, in turn, the last of which ends with MARK.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* what) { throw std::runtime_error(std::string(what) + ": " + std::strerror(errno)); }

sockaddr_in local(int port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<std::uint16_t>(port));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) fail("send");
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

struct Reader {
  int fd = -1;
  std::size_t bytes = 0, events = 0;
  std::string tail;  // of what was read, for a mark that lies across two reads
  bool answered = false, done = false, stalls = false;
};

// What each event has once.
constexpr std::string_view kEvent = ":event-type";

// How often `text` stands in `piece`, or begins in what came before it.
std::size_t count_of(std::string_view text, std::string_view before, std::string_view piece) {
  const std::string across = std::string(before.substr(before.size() - std::min(before.size(), text.size() - 1))) +
                             std::string(piece.substr(0, text.size() - 1));
  std::size_t count = across.find(text) != across.npos;
  for (std::size_t at = piece.find(text); at != piece.npos; at = piece.find(text, at + 1)) ++count;
  return count;
}

int read_all(int port, const char* requests, const std::string& mark, int stalled) {
  std::vector<Reader> readers;
  std::ifstream file(requests, std::ios::binary);
  for (std::string line; std::getline(file, line);) {
    std::string request(std::stoul(line), '\0');
    file.read(request.data(), static_cast<std::streamsize>(request.size()));
    Reader reader;
    reader.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in to = local(port);
    if (::connect(reader.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
    send_all(reader.fd, request);
    reader.stalls = static_cast<int>(readers.size()) < stalled;
    readers.push_back(std::move(reader));
  }
  const int epoll = ::epoll_create1(0);
  for (std::size_t i = 0; i < readers.size(); ++i) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, readers[i].fd, &event);
  }
  std::vector<char> buffer(1 << 20);
  std::size_t answered = 0, done = static_cast<std::size_t>(stalled), bytes = 0, reads = 0;
  Clock::time_point first{};
  while (done < readers.size()) {
    epoll_event events[256];
    const int count = ::epoll_wait(epoll, events, 256, 60'000);
    if (count <= 0) throw std::runtime_error("nothing comes any more");
    for (int i = 0; i < count; ++i) {
      Reader& reader = readers[events[i].data.u64];
      const ssize_t got = ::recv(reader.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got <= 0) throw std::runtime_error("a connection ended: " + reader.tail);
      const std::string_view piece(buffer.data(), static_cast<std::size_t>(got));
      if (!reader.answered) {
        reader.answered = true;
        if (++answered == readers.size()) std::cout << "ready" << std::endl;
        if (reader.stalls) ::epoll_ctl(epoll, EPOLL_CTL_DEL, reader.fd, nullptr);
      } else if (answered == readers.size()) {
        if (bytes == 0) first = Clock::now();
        bytes += piece.size();
        ++reads;
      }
      reader.bytes += piece.size();
      if (&reader == &readers.back()) reader.events += count_of(kEvent, reader.tail, piece);
      const std::string across = reader.tail + std::string(piece.substr(0, mark.size()));
      const bool found =
          across.find(mark) != across.npos || ::memmem(piece.data(), piece.size(), mark.data(), mark.size()) != nullptr;
      if (found && !reader.done && !reader.stalls) {
        reader.done = true;
        ++done;
      }
      reader.tail = piece.substr(piece.size() - std::min(piece.size(), std::max<std::size_t>(mark.size(), 200)));
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - first).count();
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  std::printf("{\"bytes\": %zu, \"seconds\": %.6f, \"reads\": %zu, \"bytes_each\": %zu, \"events\": %zu}\n", bytes,
              seconds, reads, readers.back().bytes, readers.back().events);
  return 0;
}

int write_all(int port, std::size_t connections, std::size_t threads) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const int one = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const sockaddr_in at = local(port);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("bind");
  if (::listen(listener, 1024) != 0) fail("listen");
  std::cout << "listening" << std::endl;
  std::vector<int> sockets;
  std::vector<char> request(1 << 16);
  while (sockets.size() < connections) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) fail("accept");
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (::recv(fd, request.data(), request.size(), 0) <= 0) fail("recv");
    sockets.push_back(fd);
  }
  for (const int fd : sockets) send_all(fd, "ready");
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::size_t count = 0, bytes = 0;
    std::string mark;
    words >> count >> bytes >> mark;
    const std::string piece(bytes, 'x'), last = piece.substr(0, bytes - std::min(bytes, mark.size())) + mark;
    std::vector<std::thread> running;
    for (std::size_t t = 0; t < threads; ++t) {
      running.emplace_back([&, t] {
        for (std::size_t i = 0; i < count; ++i)
          for (std::size_t k = t; k < sockets.size(); k += threads) send_all(sockets[k], i + 1 < count ? piece : last);
      });
    }
    for (std::thread& thread : running) thread.join();
    std::cout << "written" << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  try {
    if (mode == "read" && argc >= 5)
      return read_all(std::atoi(argv[2]), argv[3], argv[4], argc == 7 ? std::atoi(argv[6]) : 0);
    if (mode == "write" && argc == 5)
      return write_all(std::atoi(argv[2]), std::strtoul(argv[3], nullptr, 10), std::strtoul(argv[4], nullptr, 10));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  std::fprintf(stderr, "usage: read PORT REQUESTS MARK [--stall N] | write PORT CONNECTIONS THREADS\n");
  return 2;
}
