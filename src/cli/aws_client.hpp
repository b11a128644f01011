#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/cli/health.hpp"

namespace millrace::cli {

/// One connection to an AWS endpoint, opened when it is needed and kept. Signs what it sends. Of one thread.
class AwsClient {
 public:
  struct Options {
    std::string url;  ///< http://host:port or https://host:port
    std::string region = "us-east-1";
    std::string access_key_id = "test", secret_access_key = "test", session_token = {};
    std::string ca_file = {};  ///< PEM of who signs the server's certificate; empty: whom the system trusts
    std::chrono::milliseconds timeout = std::chrono::seconds{30};  ///< of one call
  };
  explicit AwsClient(Options options);
  ~AwsClient();
  AwsClient(const AwsClient&) = delete;

  /// How a service is asked in JSON: the name that signatures are scoped to, what stands before an operation's name in
  /// X-Amz-Target, and the version of the protocol.
  struct Service {
    std::string_view name, target, content_type;
  };
  static constexpr Service kKinesis{"kinesis", "Kinesis_20131202", "application/x-amz-json-1.1"},
      kFirehose{"firehose", "Firehose_20150804", "application/x-amz-json-1.1"},
      kMonitoring{"monitoring", "GraniteServiceVersion20100801", "application/x-amz-json-1.0"};
  /// POSTs `body` to the service's operation.
  Result<HttpAnswer> call(const Service& service, std::string_view operation, std::string body);

 private:
  struct Connection;
  Result<HttpAnswer> exchange(const Service& service, std::string_view operation, const std::string& body,
                              bool& sent_on_kept);

  const Options options_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace millrace::cli
