#include "cli/aws_client.hpp"

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <optional>

#include "cli/url.hpp"
#include "millrace/base/http.hpp"
#include "millrace/codec/sigv4.hpp"

namespace millrace::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace sigv4 = codec::sigv4;
using asio::ip::tcp;
using boost::system::error_code;

/// A page of GetRecords is of 10 MiB, a third longer in base64, and its numbers.
constexpr std::size_t kAnswerBytesMax = 64u << 20;

}  // namespace

struct AwsClient::Connection {
  explicit Connection(const Options& options) : place(parse_url(options.url)), tls(asio::ssl::context::tls_client) {
    if (!place || !place->tls) return;
    tls.set_verify_mode(asio::ssl::verify_peer);
    if (options.ca_file.empty())
      tls.set_default_verify_paths();
    else
      tls.load_verify_file(options.ca_file);
  }

  /// Runs what `begin` starts until it is over, or the timeout.
  template <class Begin>
  error_code wait(std::chrono::milliseconds timeout, Begin&& begin) {
    error_code result = asio::error::would_block;
    stream->next_layer().expires_after(timeout);
    begin([&result](const error_code& error, auto&&...) { result = error; });
    io.restart();
    io.run();
    return result;
  }

  error_code open(std::chrono::milliseconds timeout) {
    buffer.clear();
    stream.emplace(io, tls);
    error_code error;
    tcp::resolver resolver(io);
    const auto found = resolver.resolve(place->host, place->port, error);
    if (error) return error;
    error = wait(timeout, [&](auto done) { stream->next_layer().async_connect(found, done); });
    if (error || !place->tls) return error;
    stream->next_layer().socket().set_option(tcp::no_delay(true), error);
    ::SSL_set_tlsext_host_name(stream->native_handle(), place->host.c_str());
    stream->set_verify_callback(asio::ssl::host_name_verification(place->host));
    return wait(timeout, [&](auto done) { stream->async_handshake(asio::ssl::stream_base::client, done); });
  }

  template <class Request, class Parser>
  error_code exchange(std::chrono::milliseconds timeout, Request& request, Parser& parser) {
    const auto over = [&](auto& on) {
      if (const error_code error = wait(timeout, [&](auto done) { beast::http::async_write(on, request, done); }))
        return error;
      return wait(timeout, [&](auto done) { beast::http::async_read(on, buffer, parser, done); });
    };
    return place->tls ? over(*stream) : over(stream->next_layer());
  }

  const std::optional<Url> place;
  asio::io_context io{1};
  asio::ssl::context tls;
  std::optional<beast::ssl_stream<beast::tcp_stream>> stream;  // without TLS only what is below it is used
  beast::flat_buffer buffer;
};

AwsClient::AwsClient(Options options) : options_(std::move(options)) {}
AwsClient::~AwsClient() = default;

Result<HttpAnswer> AwsClient::call(const Service& service, std::string_view operation, std::string body) {
  for (;;) {
    bool sent_on_kept = false;
    auto answer = exchange(service, operation, body, sent_on_kept);
    // The server may close what has been idle for long; asked anew it answers.
    if (answer || !sent_on_kept) return answer;
  }
}

Result<HttpAnswer> AwsClient::exchange(const Service& service, std::string_view operation, const std::string& body,
                                       bool& sent_on_kept) {
  try {
    if (!connection_) connection_ = std::make_unique<Connection>(options_);
  } catch (const boost::system::system_error& failed) {
    return Error{Errc::unreachable, options_.ca_file + " cannot be read as certificates: " + failed.code().message()};
  }
  Connection& connection = *connection_;
  if (!connection.place) return Error{Errc::bad_url, "'" + options_.url + "' is not a URL like http://localhost:4566"};
  sent_on_kept = connection.stream.has_value();
  const auto unreachable = [&](const error_code& why) {
    connection.stream.reset();
    return Error{Errc::unreachable, "cannot reach " + options_.url + ": " + why.message()};
  };
  if (!connection.stream)
    if (const error_code failed = connection.open(options_.timeout)) return unreachable(failed);

  const std::string time = sigv4::time_text(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
  const std::string date = time.substr(0, 8), service_name(service.name),
                    target = std::string(service.target) + "." + std::string(operation);
  const sigv4::Credential scope{options_.access_key_id, date, options_.region, service_name, sigv4::kTerminator};
  std::vector<std::pair<std::string, std::string>> fields{{"Host", connection.place->authority},
                                                          {"Content-Type", std::string(service.content_type)},
                                                          {"X-Amz-Date", time},
                                                          {"X-Amz-Target", target}};
  std::string names = "content-type;host;x-amz-date;x-amz-target";
  if (!options_.session_token.empty()) {
    fields.emplace_back("X-Amz-Security-Token", options_.session_token);
    names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
  }
  http::Request to_sign;
  to_sign.method = "POST";
  to_sign.path = "/";
  for (const auto& [name, value] : fields) to_sign.headers.add(name, value);
  const std::string canonical = sigv4::canonical_request(to_sign, names, sigv4::hash_text(body));
  const std::string signature = sigv4::hexadecimal(
      sigv4::SigningKey(options_.secret_access_key, scope).sign(sigv4::string_to_sign(time, scope, canonical)));

  beast::http::request<beast::http::string_body> request{beast::http::verb::post, "/", 11, body};
  for (const auto& [name, value] : fields) request.insert(name, value);
  request.insert("Authorization", std::string(sigv4::kAlgorithm) + " Credential=" + options_.access_key_id + "/" +
                                      date + "/" + options_.region + "/" + service_name +
                                      "/aws4_request, SignedHeaders=" + names + ", Signature=" + signature);
  request.prepare_payload();
  beast::http::response_parser<beast::http::string_body> parser;
  parser.body_limit(kAnswerBytesMax);
  if (const error_code failed = connection.exchange(options_.timeout, request, parser)) return unreachable(failed);
  HttpAnswer answer{static_cast<int>(parser.get().result_int()), std::move(parser.get().body())};
  if (!parser.get().keep_alive()) connection.stream.reset();
  return answer;
}

}  // namespace millrace::cli
