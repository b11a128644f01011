#include "front/authentication.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "front/fakes.hpp"
#include "millrace/codec/sigv4.hpp"
#include "millrace/services/sessions.hpp"

namespace millrace::front {
namespace {

namespace sigv4 = codec::sigv4;
using test::MemoryStream;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kId = "AKIDEXAMPLE";
constexpr const char* kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
constexpr const char* kEcho = "Kinesis_20131202.Echo";

/// A request and how it is signed; each test changes what it is about.
struct Case {
  std::string id = kId, secret = kSecret, region = "us-east-1", service = "kinesis", terminator = "aws4_request";
  std::string time = "20261120T101500Z", date = "20261120", names = "host;x-amz-date;x-amz-target";
  std::string body = "{}", sent_body = "{}", algorithm = std::string(sigv4::kAlgorithm), expires = "300";
  bool in_query = false;
  std::vector<std::pair<std::string, std::string>> more = {};
};

class Authentication : public testing::Test {
 protected:
  static Options options() {
    Options options;
    options.auth = AuthMode::verify;
    options.access_keys = {{"OTHER", "other"}, {kId, kSecret}};
    options.sessions = &sessions();
    options.system_time = [] { return *sigv4::parse_time("20261120T101700Z"); };
    return options;
  }

  static const services::Sessions& sessions() {
    static const services::Sessions made("secret");
    return made;
  }
  /// Of credentials for a time.
  static std::string token(std::string id, std::string secret, std::string_view until) {
    const auto random = make_seeded_random(1);
    return sessions().token({std::move(id), std::move(secret), "AROA", "arn", "name", *sigv4::parse_time(until)},
                            *random);
  }

  MemoryStream& send(const Case& c) {
    const std::string credential = c.id + "/" + c.date + "/" + c.region + "/" + c.service + "/" + c.terminator;
    std::string query;
    std::vector<std::pair<std::string, std::string>> headers{
        {"Host", "localhost:4566"}, {"X-Amz-Target", kEcho}, {"Content-Type", "application/x-amz-json-1.1"}};
    std::string names = c.names;
    if (c.in_query) {
      const auto escaped = [](std::string text, const std::string& what, const std::string& by) {
        for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos;) text.replace(at, what.size(), by);
        return text;
      };
      query = "X-Amz-Algorithm=" + c.algorithm + "&X-Amz-Credential=" + escaped(credential, "/", "%2F") +
              "&X-Amz-Date=" + c.time + "&X-Amz-Expires=" + c.expires +
              "&X-Amz-SignedHeaders=" + escaped(names, ";", "%3B");
    } else {
      headers.emplace_back("X-Amz-Date", c.time);
    }
    for (const auto& field : c.more) headers.push_back(field);
    http::Request request;
    request.method = "POST";
    request.path = "/";
    request.query = query;
    for (const auto& [name, value] : headers) request.headers.add(name, value);
    const auto scope = sigv4::parse_credential(credential)
                           .value_or(sigv4::Credential{c.id, c.date, c.region, c.service, c.terminator});
    const std::string canonical = sigv4::canonical_request(request, names, sigv4::hash_text(c.body));
    sigv4::SigningKey key(c.secret, scope);
    const std::string signature = sigv4::hexadecimal(key.sign(sigv4::string_to_sign(c.time, scope, canonical)));
    if (c.in_query)
      query += "&X-Amz-Signature=" + signature;
    else
      headers.emplace_back("Authorization", c.algorithm + " Credential=" + credential + ", SignedHeaders=" + names +
                                                ", Signature=" + signature);
    MemoryStream& stream = site_.transport->open("POST", query.empty() ? "/" : "/?" + query);
    for (const auto& [name, value] : headers) stream.header(name, value);
    return site_.transport->exchange(stream, c.sent_body);
  }
  void expect_refused(const Case& c, const std::string& type, const std::string& message) {
    const MemoryStream& stream = send(c);
    EXPECT_EQ(stream.status, 400);
    EXPECT_THAT(stream.received, StartsWith("{\"__type\":\"" + type + "\""));
    EXPECT_THAT(stream.received, HasSubstr(message));
  }

  FrontSite site_{options()};
};

TEST_F(Authentication, WhatIsSignedIsServedFromTheHeaderAndTheQuery) {
  EXPECT_EQ(send({}).status, 200);
  EXPECT_EQ(send({.names = "host", .in_query = true}).status, 200);
  EXPECT_EQ(send({.id = "OTHER", .secret = "other"}).status, 200);
  EXPECT_EQ(send({.body = R"({"a":1})", .sent_body = R"({"a":1})"}).status, 200);
  EXPECT_EQ(send({.time = "20261120T102000Z"}).status, 200) << "a clock that is three minutes ahead";
}

TEST_F(Authentication, AnyOtherByteIsRefused) {
  const std::string mismatch = "The request signature we calculated does not match the signature you provided.";
  expect_refused({.secret = "wrong"}, "InvalidSignatureException", mismatch);
  expect_refused({.sent_body = R"({"a":1})"}, "InvalidSignatureException", mismatch);
  expect_refused({.secret = "wrong", .names = "host", .in_query = true}, "InvalidSignatureException", mismatch);
  expect_refused({.secret = "wrong"}, "InvalidSignatureException", "POST\\n/\\n\\nhost:localhost:4566\\n");
}

TEST_F(Authentication, AKeyThatIsNotKnownIsRefused) {
  const std::string text = "The security token included in the request is invalid.";
  expect_refused({.id = "UNKNOWN"}, "UnrecognizedClientException", text);
  expect_refused({.more = {{"X-Amz-Security-Token", "token"}}}, "UnrecognizedClientException", text);
}

TEST_F(Authentication, CredentialsForATimeSignUntilItIsOver) {
  const auto with = [](const std::string& token) -> std::vector<std::pair<std::string, std::string>> {
    return {{"X-Amz-Security-Token", token}};
  };
  const std::string good = token("ASIA", "s", "20261120T101701Z");
  EXPECT_EQ(send({.id = "ASIA", .secret = "s", .more = with(good)}).status, 200);
  expect_refused({.id = "ASIA", .secret = "s", .more = with(token("ASIA", "s", "20261120T101700Z"))},
                 "ExpiredTokenException", "The security token included in the request is expired");
  expect_refused({.id = "ASIA", .secret = "x", .more = with(good)}, "InvalidSignatureException", "does not match");
  const std::string text = "The security token included in the request is invalid.";
  expect_refused({.id = "ASIB", .secret = "s", .more = with(good)}, "UnrecognizedClientException", text);
  expect_refused({.id = "ASIA", .secret = "s"}, "UnrecognizedClientException", text);
  expect_refused({.more = with(good)}, "UnrecognizedClientException", text);
}

TEST_F(Authentication, AScopeIsOfThisRegionServiceAndDay) {
  expect_refused({.region = "eu-west-1"}, "InvalidSignatureException",
                 "Credential should be scoped to a valid region, not 'eu-west-1'. ");
  expect_refused({.service = "firehose"}, "InvalidSignatureException",
                 "Credential should be scoped to correct service: 'kinesis'. ");
  expect_refused({.terminator = "aws5"}, "InvalidSignatureException", "valid terminator: 'aws4_request', not 'aws5'. ");
  expect_refused({.date = "20261119"}, "InvalidSignatureException",
                 "'20261119' != '20261120', from '20261120T101500Z'.");
  expect_refused({.terminator = "a/b"}, "IncompleteSignatureException",
                 "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '");
}

TEST_F(Authentication, ASignatureIsOfItsTime) {
  expect_refused(
      {.time = "20261120T101100Z"}, "InvalidSignatureException",
      "Signature expired: 20261120T101100Z is now earlier than 20261120T101200Z (20261120T101700Z - 5 min.)");
  expect_refused(
      {.time = "20261120T102300Z"}, "InvalidSignatureException",
      "Signature not yet current: 20261120T102300Z is still later than 20261120T102200Z (20261120T101700Z + 5 "
      "min.)");
  EXPECT_EQ(send({.time = "20261120T091700Z", .names = "host", .expires = "3600", .in_query = true}).status, 200);
  expect_refused({.time = "20261120T091659Z", .names = "host", .expires = "3600", .in_query = true},
                 "InvalidSignatureException", "Signature expired: 20261120T091659Z");
  expect_refused({.time = "yesterday"}, "IncompleteSignatureException",
                 "Date must be in ISO-8601 'basic format'. Got 'yesterday'.");
  for (const char* expires : {"604801", "-1", "soon", ""})
    expect_refused({.names = "host", .expires = expires, .in_query = true}, "IncompleteSignatureException",
                   "X-Amz-Expires ");
}

TEST_F(Authentication, TheHostIsSignedAndTheAlgorithmKnown) {
  expect_refused({.names = "x-amz-date"}, "InvalidSignatureException",
                 "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  expect_refused({.algorithm = "AWS4-HMAC-SHA1"}, "IncompleteSignatureException",
                 "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'");
}

TEST_F(Authentication, WhatIsMissingIsToldFirst) {
  MemoryStream& stream = site_.transport->open("POST", "/");
  stream.header("X-Amz-Target", kEcho);
  stream.header("Content-Type", "application/x-amz-json-1.1");
  site_.transport->exchange(stream, "{}");
  EXPECT_THAT(stream.received, HasSubstr("MissingAuthenticationTokenException"));
}

/// What the modes make of a signer where there are several accounts.
class Signers : public testing::Test {
 protected:
  static Options options(AuthMode mode) {
    Options options;
    options.auth = mode;
    options.multi_account = true;
    options.access_keys = {{kId, kSecret}, {"AKIAOTHER", "other", "111122223333"}};
    options.sessions = &sessions();
    return options;
  }
  static const services::Sessions& sessions() {
    static const services::Sessions made("secret");
    return made;
  }
  /// account/region/session name, or why not.
  static std::string signer(AuthMode mode, const std::string& credential, const std::string& token = {}) {
    const std::string authorization = "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=host, Signature=0";
    http::Request request;
    request.method = "POST";
    request.path = "/";
    if (!token.empty()) request.headers.add("X-Amz-Security-Token", token);
    Signer out;
    const Credentials credentials{credential.empty() ? std::string_view{} : authorization, true};
    if (const auto refused = Authenticator(options(mode)).refuse(credentials, request, "{}", "kinesis", &out))
      return refused->type;
    return out.account + "/" + out.region + "/" + (out.session ? out.session->name : "");
  }
};

TEST_F(Signers, AreTakenAsTheySayWhereNothingIsVerified) {
  const auto random = make_seeded_random(1);
  const std::string token =
      sessions().token({"ASIA", "s", "AROA", "arn:aws:sts::444455556666:assumed-role/r/me", "me", {}}, *random);
  const std::string scope = "/20261120/eu-west-1/kinesis/aws4_request";
  for (const AuthMode mode : {AuthMode::presence, AuthMode::ignore}) {
    EXPECT_EQ(signer(mode, "111122223333" + scope), "111122223333/eu-west-1/");
    EXPECT_EQ(signer(mode, "AKIAOTHER" + scope), "/eu-west-1/") << "whose it is nobody knows here";
    EXPECT_EQ(signer(mode, "1111222233334" + scope), "/eu-west-1/");
    EXPECT_EQ(signer(mode, "test/20261120/US_EAST/kinesis/aws4_request"), "//");
    EXPECT_EQ(signer(mode, "test"), "//");
    EXPECT_EQ(signer(mode, "ASIA" + scope, token), "444455556666/eu-west-1/me");
    EXPECT_EQ(signer(mode, "ASIA" + scope, "forged"), "/eu-west-1/");
  }
  EXPECT_EQ(signer(AuthMode::presence, ""), "MissingAuthenticationTokenException");
  EXPECT_EQ(signer(AuthMode::ignore, ""), "//");
}

TEST_F(Signers, AreOfTheirKeysAccountWhereSignaturesAreVerified) {
  Options given = options(AuthMode::verify);
  given.system_time = [] { return *sigv4::parse_time("20261120T101500Z"); };
  const Authenticator authenticator(given);
  const auto verified = [&](const std::string& id, const std::string& secret, const std::string& region,
                            const std::string& token) -> std::string {
    http::Request request;
    request.method = "POST";
    request.path = "/";
    request.headers.add("Host", "localhost");
    request.headers.add("X-Amz-Date", "20261120T101500Z");
    if (!token.empty()) request.headers.add("X-Amz-Security-Token", token);
    const std::string credential = id + "/20261120/" + region + "/kinesis/aws4_request";
    const auto scope = *sigv4::parse_credential(credential);
    const std::string canonical = sigv4::canonical_request(request, "host;x-amz-date", sigv4::hash_text("{}"));
    sigv4::SigningKey key(secret, scope);
    const std::string authorization =
        "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=host;x-amz-date, Signature=" +
        sigv4::hexadecimal(key.sign(sigv4::string_to_sign("20261120T101500Z", scope, canonical)));
    Signer out;
    if (const auto refused = authenticator.refuse({authorization, true}, request, "{}", "kinesis", &out))
      return refused->type;
    return out.account + "/" + out.region + "/" + (out.session ? out.session->name : "");
  };
  const auto random = make_seeded_random(1);
  const std::string token = sessions().token({"ASIA", "s", "AROA", "arn:aws:sts::111122223333:assumed-role/r/me", "me",
                                              *sigv4::parse_time("20261120T101600Z")},
                                             *random);
  EXPECT_EQ(verified(kId, kSecret, "us-east-1", ""), "/us-east-1/");
  EXPECT_EQ(verified("AKIAOTHER", "other", "ap-south-1", ""), "111122223333/ap-south-1/");
  EXPECT_EQ(verified("ASIA", "s", "us-east-1", token), "111122223333/us-east-1/me");
  EXPECT_EQ(verified("AKIAOTHER", "wrong", "us-east-1", ""), "InvalidSignatureException");
  EXPECT_EQ(verified("AKIAOTHER", "other", "US_EAST", ""), "InvalidSignatureException");
  EXPECT_EQ(verified("111122223333", "other", "us-east-1", ""), "UnrecognizedClientException");
}

}  // namespace
}  // namespace millrace::front
