// MD5 of many keys, by every kernel, against OpenSSL. The input is the keys, each behind a byte with its length; a
// length above 200 means that many times three.
#include <openssl/evp.h>

#include <vector>

#include "base/md5_kernels.hpp"
#include "codec/exact_copy.hpp"
#include "fuzz/fuzz.hpp"
#include "millrace/base/digest.hpp"

namespace millrace {
namespace {

using fuzz::require;

Uint128 openssl_md5(std::string_view key) {
  unsigned char digest[16];
  unsigned size = 0;
  require(EVP_Digest(key.data(), key.size(), digest, &size, EVP_md5(), nullptr) == 1 && size == 16, "OpenSSL has MD5");
  Uint128 value;
  for (int i = 0; i < 8; ++i) value.high = value.high << 8 | digest[i];
  for (int i = 8; i < 16; ++i) value.low = value.low << 8 | digest[i];
  return value;
}

void check(std::span<const std::string_view> keys) {
  std::vector<Uint128> expected;
  for (const std::string_view key : keys) {
    expected.push_back(openssl_md5(key));
    require(md5(key) == expected.back(), "one key's digest is OpenSSL's");
  }
  std::vector<Uint128> out(keys.size());
  md5_many(keys, out);
  require(out == expected, "many keys' digests are OpenSSL's");
  std::vector<md5_kernels::Kernel> kernels{md5_kernels::kLanes4};
#if defined(MILLRACE_MD5_X86)
  if (md5_kernels::has_avx2()) kernels.push_back(md5_kernels::kLanes8);
  if (md5_kernels::has_avx512()) kernels.push_back(md5_kernels::kLanes16);
#endif
  for (const md5_kernels::Kernel& kernel : kernels) {
    std::vector<Uint128> lanes(keys.size());
    md5_kernels::many(kernel, keys, lanes);
    require(lanes == expected, "a kernel's digests are OpenSSL's");
  }
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz::Input input(data, size);
  std::vector<millrace::codec::ExactCopy> copies;
  while (!input.empty()) {
    const std::size_t length = input.byte();
    copies.emplace_back(input.text(length <= 200 ? length : length * 3));
  }
  std::vector<std::string_view> keys;
  for (const auto& copy : copies) keys.push_back(copy.view());
  millrace::check(keys);
  return 0;
}
