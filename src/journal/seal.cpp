#include "journal/seal.hpp"

namespace millrace::journal {

namespace {

constexpr std::size_t kCounterBytes = 8;
static_assert(kCounterBytes + Sealer::kTagBytes == kSealBytes);

Keys::Key file_key(const Keys::Key& key, Generation file, const FileSalt& salt) {
  const std::string info = "millrace journal file " + std::to_string(file.get());
  const auto made = hkdf_sha256({reinterpret_cast<const char*>(key.data()), key.size()},
                                {reinterpret_cast<const char*>(salt.data()), salt.size()}, info);
  Keys::Key out;
  std::memcpy(out.data(), made.data(), out.size());
  return out;
}

/// What is bound to a payload: the frame's head, in which the checksum of the payload is not known yet, and its place.
struct Beside {
  Beside(const Frame& stored, Lsn lsn) {
    Frame frame = stored;
    frame.checksum = 0;
    encode_frame_head(frame, lsn, bytes.data());
    put(bytes.data(), kFrameHeadBytes, lsn.get());
  }
  ByteView view() const noexcept { return {bytes.data(), bytes.size()}; }
  std::array<char, kFrameHeadBytes + sizeof(std::uint64_t)> bytes;
};

std::array<std::byte, Sealer::kNonceBytes> nonce_of(const char* counter) noexcept {
  std::array<std::byte, Sealer::kNonceBytes> nonce{};
  std::memcpy(nonce.data(), counter, kCounterBytes);
  return nonce;
}

}  // namespace

FileSealer::FileSealer(const Keys::Key& key, Generation file, const FileSalt& salt)
    : sealer_(file_key(key, file, salt)) {}

void FileSealer::seal(const Frame& stored, Lsn lsn, std::uint64_t counter, std::span<const ByteView> plain,
                      char* out) const {
  put(out, 0, counter);
  sealer_.seal(nonce_of(out), Beside(stored, lsn).view(), plain, out + kCounterBytes);
}

bool FileSealer::open(const Frame& stored, Lsn lsn, ByteView sealed, char* out) const {
  if (sealed.size() < kSealBytes) return false;
  return sealer_.open(nonce_of(sealed.data()), Beside(stored, lsn).view(), sealed.substr(kCounterBytes), out);
}

Opener::Outcome Opener::open(const FileSalt& salt, const Frame& stored, Lsn lsn, ByteView sealed, std::string& plain) {
  if (file_ != generation_of(lsn) || salt_ != salt) {
    file_ = generation_of(lsn);
    salt_ = salt;
    sealers_.clear();
  }
  auto sealer = sealers_.find(stored.key_id);
  if (sealer == sealers_.end()) {
    const auto key = keys_.key(stored.key_id);
    if (!key) return Outcome::no_key;
    sealer = sealers_.try_emplace(stored.key_id, *key, file_, salt_).first;
  }
  plain.resize(sealed.size() < kSealBytes ? 0 : sealed.size() - kSealBytes);
  return sealer->second.open(stored, lsn, sealed, plain.data()) ? Outcome::opened : Outcome::not_this_key;
}

const Keys& no_keys() noexcept {
  class None final : public Keys {
    std::uint32_t current() const noexcept override { return 0; }
    std::optional<Key> key(std::uint32_t) const override { return std::nullopt; }
  };
  static const None none;
  return none;
}

}  // namespace millrace::journal
