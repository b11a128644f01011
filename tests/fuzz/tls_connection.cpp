// A whole connection that begins with a handshake of TLS, which nobody without keys gets through: it never hangs,
// nothing in it is a request, and what it answers are records. The input is the handler, a byte of flags, a count of
// sizes, the sizes of the pieces, and what follows the two bytes that tell TLS from the rest.
#include "fuzz/connection.hpp"
#include "millrace/net/certificates.hpp"

namespace millrace::fuzz {
namespace {

constexpr std::size_t kHeadBytesMax = 1024, kRecordHead = 5, kRecordMax = 16 * 1024 + 256;

std::shared_ptr<net::Tls> tls() {
  static const std::shared_ptr<net::Tls> one = [] {
    const auto now = std::chrono::system_clock::now();
    const auto authority = net::make_authority(now);
    require(authority.has_value(), "an authority can be made");
    const auto certificate = net::make_certificate(*authority, {"localhost"}, now);
    require(certificate.has_value(), "a certificate can be made");
    return net::Tls::make(*certificate).value();
  }();
  return one;
}

void check(Answers::Way way, unsigned flags, Pieces pieces, std::string_view rest) {
  Answers answers(way);
  const std::string received =
      converse(answers, kHeadBytesMax, flags, pieces, std::string("\x16\x03").append(rest), tls());
  require(answers.asked.empty(), "what was not sealed is no request");
  enum Type : unsigned char { change_cipher_spec = 20, alert, handshake, data };
  for (std::string_view text = received; !text.empty();) {
    require(text.size() > kRecordHead && text[1] == 3, "a record has a head");
    const auto type = static_cast<unsigned char>(text[0]);
    require(type >= change_cipher_spec && type <= data, "and a type");
    const std::size_t size =
        static_cast<unsigned char>(text[3]) * std::size_t{256} + static_cast<unsigned char>(text[4]);
    require(size > 0 && size <= kRecordMax && size <= text.size() - kRecordHead, "and comes whole");
    text.remove_prefix(kRecordHead + size);
  }
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return millrace::fuzz::check_connection(data, size, millrace::fuzz::check);
}
