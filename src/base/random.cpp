#include "millrace/base/random.hpp"

#include <sys/random.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>

#include "millrace/base/digest.hpp"

namespace millrace {
namespace {

void fill_from_system(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      throw std::system_error(errno, std::generic_category(), "getrandom");
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

// xoshiro256++ (Blackman, Vigna).
struct Generator {
  std::array<std::uint64_t, 4> s;

  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(s[0] + s[3], 23) + s[0];
    const std::uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = std::rotl(s[3], 45);
    return result;
  }
};

Generator from_system() {
  Generator generator{};
  fill_from_system(std::as_writable_bytes(std::span(generator.s)));
  if (generator.s == std::array<std::uint64_t, 4>{}) generator.s[0] = 1;  // the one state it never leaves
  return generator;
}

// splitmix64 spreads a seed over the state, also a small one.
Generator from_seed(std::uint64_t seed) {
  Generator generator{};
  for (std::uint64_t& word : generator.s) {
    seed += 0x9e3779b97f4a7c15;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
  return generator;
}

class SystemRandom final : public Random {
 public:
  std::uint64_t next() noexcept override {
    thread_local Generator generator = from_system();
    return generator.next();
  }
  void secret(std::span<std::byte> out) override { fill_from_system(out); }
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : generator_(from_seed(seed)) {}
  std::uint64_t next() noexcept override {
    std::lock_guard lock(mutex_);
    return generator_.next();
  }
  void secret(std::span<std::byte> out) override {
    std::lock_guard lock(mutex_);
    while (!out.empty()) {
      const std::uint64_t word = generator_.next();
      const std::size_t size = std::min(out.size(), sizeof word);
      std::memcpy(out.data(), &word, size);
      out = out.subspan(size);
    }
  }

 private:
  std::mutex mutex_;
  Generator generator_;
};

static_assert(std::endian::native == std::endian::little);

// The 8 hexadecimal digits of `value`, the most significant in the lowest byte, without a branch or a table.
std::uint64_t hex(std::uint32_t value) noexcept {
  std::uint64_t x = value;
  x = (x | x << 16) & 0x0000'ffff'0000'ffff;
  x = (x | x << 8) & 0x00ff'00ff'00ff'00ff;
  x = (x | x << 4) & 0x0f0f'0f0f'0f0f'0f0f;  // a digit a byte
  const std::uint64_t letters = (x + 0x0606'0606'0606'0606) >> 4 & 0x0101'0101'0101'0101;
  x += 0x3030'3030'3030'3030 + letters * ('a' - '0' - 10);
  return __builtin_bswap64(x);
}

void write8(std::uint64_t digits, char* out) noexcept { std::memcpy(out, &digits, 8); }
void write4(std::uint64_t digits, char* out) noexcept {
  const auto low = static_cast<std::uint32_t>(digits);
  std::memcpy(out, &low, 4);
}

// Straight from registers, so that no load waits for the stores before it.
void write_uuid_of(std::uint64_t high, std::uint64_t low, unsigned version, char* out) noexcept {
  high = (high & 0xffff'ffff'ffff'0fff) | std::uint64_t{version} << 12;
  low = (low & 0x3fff'ffff'ffff'ffff) | 0x8000'0000'0000'0000;
  const std::uint64_t second = hex(static_cast<std::uint32_t>(high)),
                      third = hex(static_cast<std::uint32_t>(low >> 32));
  write8(hex(static_cast<std::uint32_t>(high >> 32)), out);
  write4(second, out + 9);
  write4(second >> 32, out + 14);
  write4(third, out + 19);
  write4(third >> 32, out + 24);
  write8(hex(static_cast<std::uint32_t>(low)), out + 28);
  out[8] = out[13] = out[18] = out[23] = '-';
}

std::uint64_t big_endian(const std::uint8_t* bytes) noexcept {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

std::unique_ptr<Random> make_system_random() { return std::make_unique<SystemRandom>(); }
std::unique_ptr<Random> make_seeded_random(std::uint64_t seed) { return std::make_unique<SeededRandom>(seed); }

void write_uuid(Random& random, char* out) noexcept {
  const std::uint64_t high = random.next();
  write_uuid_of(high, random.next(), 4, out);
}

std::string make_uuid(Random& random) {
  std::string uuid(kUuidChars, '\0');
  write_uuid(random, uuid.data());
  return uuid;
}

std::string name_uuid(std::string_view name) {
  const auto digest = sha256(name);
  std::string uuid(kUuidChars, '\0');
  write_uuid_of(big_endian(digest.data()), big_endian(digest.data() + 8), 5, uuid.data());
  return uuid;
}

}  // namespace millrace
