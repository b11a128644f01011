#include "millrace/codec/json_reader.hpp"
#include "millrace/services/operation.hpp"

namespace millrace::services {

void write_error_body(const ServiceError& error, Buffer& out) {
  std::string text = "{\"__type\":";
  codec::json_quote(error.type, text);
  if (!error.message.empty()) {
    text += error.type == "SerializationException" ? ",\"Message\":" : ",\"message\":";
    codec::json_quote(error.message, text);
  }
  out.append(text += '}');
}

}  // namespace millrace::services
