// Requests that become JSON on their way: forms and RPC v2 CBOR. What comes out is JSON, and CBOR is taken where our
// reader takes it.
#include "front/protocols.hpp"

#include <nlohmann/json.hpp>

#include "fuzz/fuzz.hpp"
#include "millrace/codec/cbor.hpp"
#include "millrace/codec/gzip.hpp"

namespace millrace::front {
namespace {

using fuzz::require;

void check(std::string_view bytes) {
  const services::Operation* const operation = services::find_service("monitoring")->find("PutMetricData");
  // A name in a form need not be UTF-8; then its JSON is none, and the operation says so.
  (void)json_of_form(bytes, operation->input);
  (void)form_parameter(bytes, "Action");
  (void)read_rpc_path(bytes);
  if (const auto plain = codec::gunzip(bytes, 1 << 16)) require(plain->size() <= 1 << 16, "no more than is allowed");

  codec::CborReader reader(bytes);
  std::uint64_t tag = 0;
  while (reader.peek() == codec::CborType::tag && reader.read_tag(tag)) {
  }
  const bool map = reader.peek() == codec::CborType::map && !reader.skip_value().empty() && reader.at_end();
  const auto json = json_of_cbor(bytes);
  require(map == json.has_value(), "what is a map becomes JSON");
  if (!json) return;
  const auto tree = nlohmann::json::parse(*json, nullptr, false);
  require(tree.is_object() || json->find("e999") != std::string::npos, "and JSON it is");
}

}  // namespace
}  // namespace millrace::front

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::front::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
