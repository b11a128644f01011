// StartStreamEncryption: what is put from now on lies sealed on disk.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_StartStreamEncryption.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

awaitable<Outcome<NoOutput>> start_stream_encryption(Context& context, EncryptionInput in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> stream = check_encryption(context, in);
  if (!stream) co_return stream.error();
  const std::string name = (*stream)->name;
  auto started = co_await streams::start_encryption(environment.streams, name, std::move(in.key_id));
  if (!started)
    co_return to_service_error(started.error(), environment, {.stream = name, .operation = "StartStreamEncryption"});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation start_stream_encryption_operation =
    operation<start_stream_encryption, kEncryptionInput>("StartStreamEncryption");

}  // namespace millrace::services::kinesis
