#include "millrace/services/sessions.hpp"

#include <nlohmann/json.hpp>
#include <span>

#include "millrace/codec/base64.hpp"

namespace millrace::services {
namespace {

// Before what is sealed; another form of it gets another one.
constexpr std::string_view kForm = "MRS1";
constexpr std::size_t kTokenBytesMax = 16 * 1024;

Sealer sealer_of(std::string_view secret) {
  const auto key = hkdf_sha256(secret, "", "millrace session tokens");
  return Sealer(std::as_bytes(std::span(key)));
}

}  // namespace

std::string_view Session::account() const noexcept {
  constexpr std::string_view kBegin = "arn:aws:sts::";
  const std::string_view arn = assumed_arn;
  if (!arn.starts_with(kBegin)) return {};
  return arn.substr(kBegin.size(), arn.find(':', kBegin.size()) - kBegin.size());
}

Sessions::Sessions(std::string_view secret) : sealer_(sealer_of(secret)) {}

std::string Sessions::token(const Session& session, Random& random) const {
  const std::string plain =
      nlohmann::json::array({session.access_key_id, session.secret, session.role_id, session.assumed_arn, session.name,
                             session.expires.time_since_epoch().count()})
          .dump();
  std::string out(kForm);
  out.resize(kForm.size() + Sealer::kNonceBytes + plain.size() + Sealer::kTagBytes);
  const auto nonce = std::as_writable_bytes(std::span(out)).subspan(kForm.size()).first<Sealer::kNonceBytes>();
  random.secret(nonce);
  sealer_.seal(nonce, plain, out.data() + kForm.size() + Sealer::kNonceBytes);
  return codec::base64::encode(out);
}

std::optional<Session> Sessions::open(std::string_view token) const {
  if (token.size() > kTokenBytesMax) return std::nullopt;
  const auto bytes = codec::base64::decode(token);
  if (!bytes || !bytes->starts_with(kForm) || bytes->size() < kForm.size() + Sealer::kNonceBytes + Sealer::kTagBytes)
    return std::nullopt;
  const auto nonce = std::as_bytes(std::span(*bytes)).subspan(kForm.size()).first<Sealer::kNonceBytes>();
  const std::string_view sealed = std::string_view(*bytes).substr(kForm.size() + Sealer::kNonceBytes);
  std::string plain(sealed.size() - Sealer::kTagBytes, '\0');
  if (!sealer_.open(nonce, sealed, plain.data())) return std::nullopt;
  const auto parts = nlohmann::json::parse(plain);  // it was written here
  return Session{parts[0], parts[1], parts[2],
                 parts[3], parts[4], std::chrono::sys_seconds{std::chrono::seconds{parts[5].get<std::int64_t>()}}};
}

}  // namespace millrace::services
