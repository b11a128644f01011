// StopStreamEncryption: what is put is no longer sealed once the stream is ACTIVE again.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_StopStreamEncryption.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

awaitable<Outcome<NoOutput>> stop_stream_encryption(Context& context, EncryptionInput in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> stream = check_encryption(context, in);
  if (!stream) co_return stream.error();
  const std::string name = (*stream)->name;
  auto stopped = co_await streams::stop_encryption(environment.streams, name);
  if (!stopped)
    co_return to_service_error(stopped.error(), environment, {.stream = name, .operation = "StopStreamEncryption"});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation stop_stream_encryption_operation =
    operation<stop_stream_encryption, kEncryptionInput>("StopStreamEncryption");

}  // namespace millrace::services::kinesis
