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

  /// POSTs `body` to Kinesis's operation, in JSON.
  Result<HttpAnswer> kinesis(std::string_view operation, std::string body);

 private:
  struct Connection;
  Result<HttpAnswer> exchange(std::string_view operation, const std::string& body, bool& sent_on_kept);

  const Options options_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace millrace::cli
