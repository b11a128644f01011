#include "services/fields.hpp"

namespace millrace::services {
namespace {

struct ErrorBody {
  std::string type;
  std::optional<std::string> message, capital_message;
};
constexpr auto kErrorBody = fields(field<&ErrorBody::type>("__type"), field<&ErrorBody::message>("message"),
                                   field<&ErrorBody::capital_message>("Message"));

}  // namespace

void write_error_body(const ServiceError& error, Buffer& out, Wire wire) {
  ErrorBody body{error.type, std::nullopt, std::nullopt};
  if (!error.message.empty())
    (error.type == "SerializationException" ? body.capital_message : body.message) = error.message;
  encode(kErrorBody, &body, out, wire);
}

}  // namespace millrace::services
