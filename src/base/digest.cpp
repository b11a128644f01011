#include "millrace/base/digest.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace millrace {
namespace {

/// What fails here is the library itself (no provider, no memory): nothing above could go on without digests.
[[noreturn]] void crypto_failed(const char* what) noexcept {
  std::fprintf(stderr, "millrace: OpenSSL cannot %s: ", what);
  ERR_print_errors_fp(stderr);
  std::abort();
}

// Fetched once: an implicit fetch at every call costs more than hashing a short text. Never freed.
const EVP_MD* sha256_algorithm() noexcept {
  static const EVP_MD* const algorithm = [] {
    const EVP_MD* fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (fetched == nullptr) crypto_failed("fetch SHA256");
    return fetched;
  }();
  return algorithm;
}

const EVP_CIPHER* gcm_algorithm() noexcept {
  static const EVP_CIPHER* const algorithm = [] {
    const EVP_CIPHER* fetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    if (fetched == nullptr) crypto_failed("fetch AES-256-GCM");
    return fetched;
  }();
  return algorithm;
}

struct Free {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};

EVP_MD_CTX* digest_context() noexcept {
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  if (!context) crypto_failed("make a digest context");
  return context.get();
}

std::array<std::uint8_t, 32> sha256_of(std::string_view first, std::string_view second) noexcept {
  std::array<std::uint8_t, 32> out;
  EVP_MD_CTX* context = digest_context();
  if (EVP_DigestInit_ex2(context, sha256_algorithm(), nullptr) != 1 ||
      EVP_DigestUpdate(context, first.data(), first.size()) != 1 ||
      EVP_DigestUpdate(context, second.data(), second.size()) != 1 ||
      EVP_DigestFinal_ex(context, out.data(), nullptr) != 1) {
    crypto_failed("hash");
  }
  return out;
}

std::string_view text_of(const std::array<std::uint8_t, 32>& digest) noexcept {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// One thread's context in one direction. It remembers whose key it holds, so that a call sets only the nonce.
struct CipherContext {
  std::unique_ptr<EVP_CIPHER_CTX, Free> context{EVP_CIPHER_CTX_new()};
  std::uint64_t key_id = 0;
};

const unsigned char* bytes_of(const std::byte* bytes) noexcept { return reinterpret_cast<const unsigned char*>(bytes); }
const unsigned char* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

EVP_CIPHER_CTX* begin(CipherContext& mine, std::uint64_t key_id, const std::byte* key, const std::byte* nonce,
                      int encrypt) noexcept {
  if (!mine.context) crypto_failed("make a cipher context");
  const bool known = mine.key_id == key_id;
  if (EVP_CipherInit_ex2(mine.context.get(), known ? nullptr : gcm_algorithm(), known ? nullptr : bytes_of(key),
                         bytes_of(nonce), encrypt, nullptr) != 1) {
    crypto_failed("begin AES-256-GCM");
  }
  mine.key_id = key_id;
  return mine.context.get();
}

std::atomic<std::uint64_t> g_sealers{0};

}  // namespace

std::array<std::uint8_t, 32> sha256(std::string_view bytes) noexcept { return sha256_of(bytes, {}); }

std::array<std::uint8_t, 32> hmac_sha256(std::string_view key, std::string_view bytes) noexcept {
  constexpr std::size_t kBlock = 64;
  std::array<char, kBlock> inner{}, outer{};
  std::array<std::uint8_t, 32> hashed_key;
  if (key.size() > kBlock) {
    hashed_key = sha256(key);
    key = text_of(hashed_key);
  }
  std::copy(key.begin(), key.end(), inner.begin());
  outer = inner;
  for (std::size_t i = 0; i < kBlock; ++i) {
    inner[i] = static_cast<char>(inner[i] ^ 0x36);
    outer[i] = static_cast<char>(outer[i] ^ 0x5c);
  }
  const auto digest = sha256_of({inner.data(), kBlock}, bytes);
  return sha256_of({outer.data(), kBlock}, text_of(digest));
}

std::array<std::uint8_t, 32> hkdf_sha256(std::string_view key, std::string_view salt, std::string_view info) noexcept {
  const auto extracted = hmac_sha256(salt, key);
  std::string block(info);
  block += '\1';
  return hmac_sha256(text_of(extracted), block);
}

Sealer::Sealer(std::span<const std::byte, kKeyBytes> key)
    : key_id_(g_sealers.fetch_add(1, std::memory_order_relaxed) + 1) {
  std::copy(key.begin(), key.end(), key_.begin());
}

void Sealer::seal(std::span<const std::byte, kNonceBytes> nonce, std::string_view plain, char* out) const {
  seal(nonce, {}, std::span(&plain, 1), out);
}

void Sealer::seal(std::span<const std::byte, kNonceBytes> nonce, std::string_view beside,
                  std::span<const std::string_view> plain, char* out) const {
  thread_local CipherContext mine;
  EVP_CIPHER_CTX* context = begin(mine, key_id_, key_.data(), nonce.data(), 1);
  auto* to = reinterpret_cast<unsigned char*>(out);
  int written = 0;
  bool good = beside.empty() ||
              EVP_EncryptUpdate(context, nullptr, &written, bytes_of(beside), static_cast<int>(beside.size())) == 1;
  for (const std::string_view piece : plain) {
    good = good && EVP_EncryptUpdate(context, to, &written, bytes_of(piece), static_cast<int>(piece.size())) == 1;
    to += piece.size();
  }
  if (!good || EVP_EncryptFinal_ex(context, to, &written) != 1 ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, to) != 1) {
    crypto_failed("seal");
  }
}

bool Sealer::open(std::span<const std::byte, kNonceBytes> nonce, std::string_view sealed, char* out) const {
  return open(nonce, {}, sealed, out);
}

bool Sealer::open(std::span<const std::byte, kNonceBytes> nonce, std::string_view beside, std::string_view sealed,
                  char* out) const {
  if (sealed.size() < kTagBytes) return false;
  thread_local CipherContext mine;
  EVP_CIPHER_CTX* context = begin(mine, key_id_, key_.data(), nonce.data(), 0);
  const std::string_view hidden = sealed.substr(0, sealed.size() - kTagBytes);
  std::array<unsigned char, kTagBytes> tag;
  std::copy_n(bytes_of(sealed) + hidden.size(), kTagBytes, tag.begin());
  auto* to = reinterpret_cast<unsigned char*>(out);
  int written = 0, rest = 0;
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
         (beside.empty() ||
          EVP_DecryptUpdate(context, nullptr, &rest, bytes_of(beside), static_cast<int>(beside.size())) == 1) &&
         EVP_DecryptUpdate(context, to, &written, bytes_of(hidden), static_cast<int>(hidden.size())) == 1 &&
         EVP_DecryptFinal_ex(context, to + written, &rest) == 1;
}

}  // namespace millrace
