#include "millrace/codec/sigv4.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace millrace::codec {
namespace {

using nlohmann::json;

json vectors() {
  std::ifstream file(MILLRACE_TEST_DATA "/sigv4_vectors.json");
  return json::parse(file);
}

std::string part_of(const std::string& text, const std::string& name, const std::string& ends) {
  const auto at = text.find(name);
  if (at == std::string::npos) return {};
  const auto begin = at + name.size();
  return text.substr(begin, text.find_first_of(ends, begin) - begin);
}

TEST(SigV4, SignsWhatBotocoreSignsAsItDoes) {
  const json all = vectors();
  std::size_t presigned = 0;
  for (const json& vector : all["requests"]) {
    SCOPED_TRACE(vector["name"].get<std::string>());
    const std::string method = vector["method"], path = vector["path"], query = vector["query"], body = vector["body"];
    std::vector<std::pair<std::string, std::string>> fields;
    for (const json& field : vector["headers"]) fields.emplace_back(field[0], field[1]);
    http::Request request;
    request.method = method;
    request.path = path;
    request.query = query;
    for (const auto& [name, value] : fields) request.headers.add(name, value);

    const std::string authorization(request.headers.get("authorization"));
    std::string names = "host", signature = part_of(query, "X-Amz-Signature=", "&");
    if (!authorization.empty()) {
      names = part_of(authorization, "SignedHeaders=", ",");
      signature = part_of(authorization, "Signature=", ",");
    } else {
      ++presigned;
    }
    const std::string canonical = sigv4::canonical_request(request, names, sigv4::hash_text(body));
    EXPECT_EQ(canonical, vector["canonical"]);
    const auto scope = sigv4::parse_credential("AKIDEXAMPLE/20261120/us-east-1/kinesis/aws4_request");
    ASSERT_TRUE(scope);
    sigv4::SigningKey key(all["secret_access_key"].get<std::string>(), *scope);
    const std::string text = sigv4::string_to_sign("20261120T101500Z", *scope, canonical);
    EXPECT_EQ(sigv4::hexadecimal(key.sign(text)), signature);
    EXPECT_EQ(sigv4::hexadecimal(key.sign(text)), signature) << "the key stays";
  }
  EXPECT_GT(presigned, 0u);
  EXPECT_GT(all["requests"].size(), 2 * presigned);
}

TEST(SigV4, FieldsOfOneNameAreJoinedAndMissingOnesEmpty) {
  http::Request request;
  request.method = "GET";
  request.path = "/";
  request.headers.add("X-A", "1");
  request.headers.add("x-a", " 2 ");
  EXPECT_EQ(sigv4::canonical_request(request, "x-a;x-b", "hash"), "GET\n/\n\nx-a:1,2\nx-b:\n\nx-a;x-b\nhash");
}

TEST(SigV4, ACredentialHasFiveParts) {
  const auto scope = sigv4::parse_credential("AK/20261120/eu-west-1/firehose/aws4_request");
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->access_key_id, "AK");
  EXPECT_EQ(scope->date, "20261120");
  EXPECT_EQ(scope->region, "eu-west-1");
  EXPECT_EQ(scope->service, "firehose");
  EXPECT_EQ(scope->terminator, "aws4_request");
  for (const char* text : {"", "AK", "AK/1/2/3", "AK/1/2/3/4/5"}) EXPECT_FALSE(sigv4::parse_credential(text)) << text;
}

TEST(SigV4, ReadsBothFormsOfATime) {
  const auto basic = sigv4::parse_time("20261120T101500Z"), http = sigv4::parse_time("Fri, 20 Nov 2026 10:15:00 GMT");
  ASSERT_TRUE(basic && http);
  EXPECT_EQ(*basic, *http);
  EXPECT_EQ(sigv4::time_text(*http), "20261120T101500Z");
  for (const char* text : {"", "20261120", "20261120T101500", "20261320T101500Z", "20261131T101500Z",
                           "20261120T251500Z", "2026112xT101500Z", "Fri, 20 nov 2026 10:15:00 GMT",
                           "Fri, 20 anF 2026 10:15:00 GMT", "Fri, 20 Nov 2026 10:15:00 CET"})
    EXPECT_FALSE(sigv4::parse_time(text)) << text;
}

}  // namespace
}  // namespace millrace::codec
