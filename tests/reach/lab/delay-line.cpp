// A long line in user space, for machines whose kernel has no netem: two TUN devices; what is routed into one comes out
// of the other, later, or not at all.
//
//   delay-line NAME_A NAME_B DELAY_MS LOSS_PERMILLE RATE_KBIT SEED
//
// Delay is one way. Loss and rate are those of each direction; rate 0 is as fast as it goes, else what would wait for
// longer than 200 ms is dropped, as in a router. Says "ready" when both devices exist, and how many packets it saw when
// it is ended.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <random>
#include <vector>

namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kLongestQueue = 200 * kMillisecond;

volatile sig_atomic_t over = 0;

std::int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000 * kMillisecond + time.tv_nsec;
}

int openTun(const char* name) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
    std::perror(name);
    std::exit(1);
  }
  return fd;
}

struct Packet {
  std::int64_t due;
  std::vector<char> bytes;
};

struct Direction {
  int from;
  int to;
  std::deque<Packet> line;
  /// When the last packet has left the sender.
  std::int64_t busyUntil = 0;
  std::uint64_t seen = 0;
  std::uint64_t lost = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "delay-line NAME_A NAME_B DELAY_MS LOSS_PERMILLE RATE_KBIT SEED\n");
    return 2;
  }
  const auto delay = static_cast<std::int64_t>(std::atof(argv[3]) * kMillisecond);
  const int loss = std::atoi(argv[4]);
  const std::int64_t rate = std::atoll(argv[5]);
  std::minstd_rand random(static_cast<unsigned>(std::atoi(argv[6])) + 1);
  std::uniform_int_distribution<int> permille(0, 999);

  const int a = openTun(argv[1]);
  const int b = openTun(argv[2]);
  std::array<Direction, 2> directions{Direction{.from = a, .to = b, .line = {}},
                                      Direction{.from = b, .to = a, .line = {}}};
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction action {};
    action.sa_handler = [](int) { over = 1; };
    sigaction(signal, &action, nullptr);
  }
  std::puts("ready");
  std::fflush(stdout);

  std::vector<char> buffer(65'536);
  while (over == 0) {
    std::int64_t next = -1;
    for (Direction& direction : directions) {
      while (!direction.line.empty() && direction.line.front().due <= now()) {
        const Packet& packet = direction.line.front();
        // A full device loses, as any queue does.
        if (write(direction.to, packet.bytes.data(), packet.bytes.size()) < 0) ++direction.lost;
        direction.line.pop_front();
      }
      if (direction.line.empty()) continue;
      const std::int64_t due = direction.line.front().due;
      if (next < 0 || due < next) next = due;
    }
    std::array<pollfd, 2> waiting{pollfd{a, POLLIN, 0}, pollfd{b, POLLIN, 0}};
    timespec wait{};
    if (next >= 0) {
      const std::int64_t left = next - now();
      wait.tv_sec = left > 0 ? left / (1'000 * kMillisecond) : 0;
      wait.tv_nsec = left > 0 ? left % (1'000 * kMillisecond) : 0;
    }
    if (ppoll(waiting.data(), waiting.size(), next >= 0 ? &wait : nullptr, nullptr) <= 0) continue;
    for (Direction& direction : directions) {
      // Not for ever: what is due must leave.
      for (int i = 0; i < 64; ++i) {
        const ssize_t length = read(direction.from, buffer.data(), buffer.size());
        if (length <= 0) break;
        ++direction.seen;
        const std::int64_t at = now();
        if (permille(random) < loss) {
          ++direction.lost;
          continue;
        }
        std::int64_t leaves = at;
        if (rate > 0) {
          leaves = (direction.busyUntil > at ? direction.busyUntil : at) + length * 8 * kMillisecond / rate;
          if (leaves - at > kLongestQueue) {
            ++direction.lost;
            continue;
          }
          direction.busyUntil = leaves;
        }
        direction.line.push_back(Packet{leaves + delay, std::vector<char>(buffer.begin(), buffer.begin() + length)});
      }
    }
  }
  std::printf("%llu packets, %llu lost; %llu packets, %llu lost\n", static_cast<unsigned long long>(directions[0].seen),
              static_cast<unsigned long long>(directions[0].lost), static_cast<unsigned long long>(directions[1].seen),
              static_cast<unsigned long long>(directions[1].lost));
  return 0;
}
