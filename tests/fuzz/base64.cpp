// Base64 against OpenSSL, and every kernel against the portable one. The input is taken as text to decode and as bytes
// to encode.
#include "millrace/codec/base64.hpp"

#include <openssl/evp.h>

#include <optional>
#include <string>
#include <vector>

#include "codec/base64_kernels.hpp"
#include "codec/exact_copy.hpp"
#include "fuzz/fuzz.hpp"

namespace millrace::codec::base64 {
namespace {

using fuzz::require;

struct Kernel {
  Decoded (*decode)(std::string_view, char*) noexcept;
  std::size_t (*encode)(std::string_view, char*) noexcept;
};

const std::vector<Kernel>& kernels_here() {
  static const std::vector<Kernel> found = [] {
    std::vector<Kernel> list{{decode, encode}, {kernels::decode_table, kernels::encode_table}};
#if defined(MILLRACE_BASE64_X86)
    if (kernels::has_ssse3()) list.push_back({kernels::decode_ssse3, kernels::encode_ssse3});
    if (kernels::has_avx2()) list.push_back({kernels::decode_avx2, kernels::encode_avx2});
#endif
    return list;
  }();
  return found;
}

const unsigned char* unsigned_data(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string openssl_encode(std::string_view bytes) {
  std::string out(encoded_size(bytes.size()) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), unsigned_data(bytes),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

/// What a strict decoder makes of `text`. OpenSSL's own also takes blanks and line ends around it, padding that stands
/// elsewhere than at the end, and unused bits that are not zero; none of these comes back the same from encoding.
std::optional<std::string> openssl_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.empty()) return std::string{};
  std::string out(text.size(), '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), unsigned_data(text), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  if (static_cast<std::size_t>(size) < padding) return std::nullopt;
  out.resize(static_cast<std::size_t>(size) - padding);
  if (openssl_encode(out) != text) return std::nullopt;
  return out;
}

bool in_alphabet(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

void check_error(std::string_view text, const Decoded& decoded) {
  switch (decoded.error) {
    case Errc::none:
      require(false, "what OpenSSL refuses is refused");
      break;
    case Errc::length:
      require(text.size() % 4 != 0, "a length is wrong that is no multiple of four");
      break;
    case Errc::character: {
      require(decoded.at < text.size(), "the bad character stands in the text");
      require(!in_alphabet(text[decoded.at]), "the bad character is none of the alphabet");
      for (const char c : text.substr(0, decoded.at)) require(in_alphabet(c), "the bad character is the first");
      break;
    }
    case Errc::last_character:
      require(text.ends_with('='), "unused bits come with padding");
      break;
  }
}

void check_decode(std::string_view text) {
  const std::optional<std::string> expected = openssl_decode(text);
  std::optional<Decoded> first;
  for (const Kernel& kernel : kernels_here()) {
    std::vector<char> out(decoded_size_max(text.size()) + kSlack);
    const Decoded decoded = kernel.decode(text, out.data());
    if (expected) {
      require(decoded.error == Errc::none, "what OpenSSL takes is taken");
      require(std::string_view(out.data(), decoded.size) == *expected, "the bytes are OpenSSL's");
    } else {
      check_error(text, decoded);
    }
    if (!first) first = decoded;
    require(decoded.error == first->error && decoded.at == first->at && decoded.size == first->size,
            "every kernel says the same");
  }
  require(decode(text) == expected, "the string form agrees");
}

void check_encode(std::string_view bytes) {
  const std::string expected = openssl_encode(bytes);
  for (const Kernel& kernel : kernels_here()) {
    std::vector<char> out(encoded_size(bytes.size()) + kSlack);
    const std::size_t size = kernel.encode(bytes, out.data());
    require(std::string_view(out.data(), size) == expected, "the text is OpenSSL's");
  }
  require(decode(expected) == bytes, "encoding is undone by decoding");
}

}  // namespace
}  // namespace millrace::codec::base64

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const millrace::codec::ExactCopy input({reinterpret_cast<const char*>(data), size});
  millrace::codec::base64::check_decode(input.view());
  millrace::codec::base64::check_encode(input.view());
  return 0;
}
