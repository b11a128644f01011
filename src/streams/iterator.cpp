#include "millrace/streams/iterator.hpp"

#include <array>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "millrace/codec/base64.hpp"
#include "millrace/state/keys.hpp"

namespace millrace::streams {
namespace {

// A token's 152 bytes: AWS's first eight, then version, key id, two zeros, the nonce (start number and counter), the
// sealed fields and their tag. Integers are little-endian.
constexpr std::array<unsigned char, 8> kOuter{0, 0, 0, 0, 0, 0, 0, 1};
constexpr std::size_t kBytes = 152, kHeadAt = 8, kNonceAt = 12, kSealedAt = 24, kPlainBytes = 112;
static_assert(kSealedAt + kPlainBytes + Sealer::kTagBytes == kBytes);
static_assert(codec::base64::encoded_size(kBytes) == IteratorCodec::kChars);
constexpr char kVersion = 1, kKeyId = 1;
constexpr char kHead[4] = {kVersion, kKeyId, 0, 0};

template <class T>
char* put(char* at, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    *at++ = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  return at;
}
template <class T>
const char* get(const char* at, T& value) {
  std::uint64_t wide = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) wide |= std::uint64_t{static_cast<unsigned char>(*at++)} << (8 * i);
  value = static_cast<T>(wide);
  return at;
}

class SealedIterators final : public IteratorCodec {
 public:
  SealedIterators(std::span<const std::byte, Sealer::kKeyBytes> key, std::uint32_t start)
      : sealer_(key), start_(start) {}

  void write(const IteratorFields& fields, char* out) const override {
    std::array<char, kBytes> token{};
    std::memcpy(token.data(), kOuter.data(), kOuter.size());
    std::memcpy(token.data() + kHeadAt, kHead, sizeof kHead);
    put(put(token.data() + kNonceAt, start_), counter_.fetch_add(1, std::memory_order_relaxed));
    std::array<char, kPlainBytes> plain{};
    char* at = put(put(plain.data(), fields.account), fields.incarnation);
    at = put(put(at, fields.next.get()), fields.issued.time_since_epoch().count());
    put(at, fields.shard_index);
    sealer_.seal(nonce(token.data()), {plain.data(), plain.size()}, token.data() + kSealedAt);
    std::array<char, kChars + codec::base64::kSlack> text;
    codec::base64::encode({token.data(), token.size()}, text.data());
    std::memcpy(out, text.data(), kChars);
  }

  std::optional<IteratorFields> read(std::string_view text) const override {
    if (text.size() == kChars + 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, kChars);
    if (text.size() != kChars) return std::nullopt;
    std::array<char, codec::base64::decoded_size_max(kChars) + codec::base64::kSlack> token;
    const auto decoded = codec::base64::decode(text, token.data());
    if (decoded.error != codec::base64::Errc::none || decoded.size != kBytes) return std::nullopt;
    if (std::memcmp(token.data(), kOuter.data(), kOuter.size()) != 0) return std::nullopt;
    if (std::memcmp(token.data() + kHeadAt, kHead, sizeof kHead) != 0) return std::nullopt;
    std::array<char, kPlainBytes> plain;
    if (!sealer_.open(nonce(token.data()), {token.data() + kSealedAt, kPlainBytes + Sealer::kTagBytes}, plain.data()))
      return std::nullopt;
    IteratorFields fields;
    std::uint64_t next = 0;
    std::int64_t issued = 0;
    const char* at = get(get(plain.data(), fields.account), fields.incarnation);
    at = get(get(at, next), issued);
    get(at, fields.shard_index);
    fields.next = log::Position{next};
    fields.issued = TimePoint{std::chrono::milliseconds{issued}};
    return fields;
  }

 private:
  static std::span<const std::byte, Sealer::kNonceBytes> nonce(const char* token) {
    return std::span<const std::byte, Sealer::kNonceBytes>(reinterpret_cast<const std::byte*>(token) + kNonceAt,
                                                           Sealer::kNonceBytes);
  }
  Sealer sealer_;
  std::uint32_t start_;
  mutable std::atomic<std::uint64_t> counter_{0};
};

}  // namespace

awaitable<std::unique_ptr<IteratorCodec>> IteratorCodec::make(state::Store& store, Random& random) {
  const std::string name(state::keys::kIteratorSecret);
  auto stored = co_await store.get(name);
  if (!stored) throw std::runtime_error("the iterator key cannot be read: " + stored.error().detail);
  std::string secret;
  if (*stored) {
    if (auto decoded = codec::base64::decode((*stored)->value)) secret = *decoded;
  }
  if (secret.size() != Sealer::kKeyBytes) {
    secret.resize(Sealer::kKeyBytes);
    random.secret(std::as_writable_bytes(std::span(secret)));
    std::string text = codec::base64::encode(secret);
    auto written = co_await store.put(name, text);
    if (!written) throw std::runtime_error("the iterator key cannot be stored: " + written.error().detail);
  }
  // Nonces are start number and counter, so that no two runs of the daemon share one under the stored key.
  auto start = co_await store.next_number(std::string(state::keys::kIteratorStarts));
  if (!start) throw std::runtime_error("the iterator start number cannot be stored: " + start.error().detail);
  const auto key = std::as_bytes(std::span(secret)).first<Sealer::kKeyBytes>();
  co_return std::make_unique<SealedIterators>(key, static_cast<std::uint32_t>(*start));
}

}  // namespace millrace::streams
