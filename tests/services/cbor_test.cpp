#include "services/kinesis_world.hpp"

// AWS's CBOR in its bytes. That every golden request gets the same answer on both wires: golden_test.cpp.
namespace millrace::test {
namespace {

using std::string_literals::operator""s;

std::string text(std::string_view value) {
  const std::string head = value.size() < 24 ? std::string(1, static_cast<char>(0x60 + value.size()))
                                             : "\x78"s + static_cast<char>(value.size());
  return head + std::string(value);
}

class Cbor : public testing::Test {
 protected:
  Cbor() { world_.create("s"); }
  std::string bytes(std::string_view operation, std::string_view body) {
    services::Context context{world_.environment, "id", services::Wire::cbor};
    services::Reply reply;
    run(world_.io, KinesisWorld::find(operation).run(context, body, reply));
    const Answer answer = KinesisWorld::answer(reply, services::Wire::cbor);
    status_ = answer.status;
    pieces_ = answer.in_pieces;
    return answer.body;
  }
  std::string put(const std::string& data_member) {
    return "\xa3"s + text("StreamName") + text("s") + text("PartitionKey") + text("k") + text("Data") + data_member;
  }
  std::string stored(std::size_t index) {
    return *codec::base64::decode(world_.records("s").at(index).at("Data").get<std::string>());
  }

  KinesisWorld world_;
  int status_ = 0;
  bool pieces_ = false;
};

TEST_F(Cbor, ARequestAndItsReplyAreTheseBytes) {
  const std::string reply = bytes("PutRecord", put("\x43\x00\xff\x80"s));
  const Json there = world_.records("s")[0];
  EXPECT_EQ(reply, "\xa2"s + text("ShardId") + text("shardId-000000000000") + text("SequenceNumber") +
                       text(there["SequenceNumber"].get<std::string>()));
  EXPECT_EQ(stored(0), "\x00\xff\x80"s);

  const std::string batch =
      bytes("PutRecords", "\xa2"s + text("StreamName") + text("s") + text("Records") + "\x81\xa2" + text("Data") +
                              "\x40" + text("PartitionKey") + text("k"));
  EXPECT_EQ(batch, "\xa2"s + text("FailedRecordCount") + "\x00"s + text("Records") + "\x81\xa2" +
                       text("SequenceNumber") + text(world_.records("s")[1]["SequenceNumber"].get<std::string>()) +
                       text("ShardId") + text("shardId-000000000000"));

  const std::string page =
      bytes("GetRecords", "\xa2"s + text("ShardIterator") + text(world_.iterator("s")) + text("Limit") + "\x01");
  const std::string first = "\xa3"s + text("Records") + "\x81\xa4" + text("SequenceNumber") +
                            text(there["SequenceNumber"].get<std::string>()) + text("ApproximateArrivalTimestamp") +
                            "\xc1\x1b"s;
  EXPECT_EQ(page.substr(0, first.size()), first);
  const std::string rest =
      text("Data") + "\x43\x00\xff\x80"s + text("PartitionKey") + text("k") + text("NextShardIterator");
  EXPECT_EQ(page.substr(first.size() + 8, rest.size()), rest);

  EXPECT_EQ(bytes("DescribeStream", "\xa1"s + text("StreamName") + text("none")),
            "\xa2"s + text("__type") + text("ResourceNotFoundException") + text("message") +
                text("Stream none under account 000000000000 not found."));
  EXPECT_EQ(bytes("DeleteStream", "\xa1"s + text("StreamName") + text("s")), "");
}

TEST_F(Cbor, TimestampsAreTag1BeforeMilliseconds) {
  const std::string reply = bytes("DescribeStreamSummary", "\xa1"s + text("StreamName") + text("s"));
  EXPECT_NE(reply.find(text("StreamCreationTimestamp") + "\xc1\x1b"), reply.npos);
}

TEST_F(Cbor, TimestampsAreReadAsAnyNumberOfMilliseconds) {
  world_.put("s", "k", "old");
  world_.clock.advance(std::chrono::seconds(10));
  world_.put("s", "k", "new");
  const std::int64_t now = world_.clock.now().time_since_epoch().count();
  for (int form = 0; form < 3; ++form) {
    Buffer out;
    codec::CborWriter writer(out);
    writer.begin_map(4);
    for (const char* part : {"StreamName", "s", "ShardId", "0", "ShardIteratorType", "AT_TIMESTAMP", "Timestamp"})
      writer.text(part);
    if (form != 1) writer.tag(1);
    if (form == 2)
      writer.real(static_cast<double>(now) - 0.25);
    else
      writer.integer(now);
    const Json reply = json_of_cbor(bytes("GetShardIterator", out.view()));
    const Json page = world_.ok("GetRecords", {{"ShardIterator", reply["ShardIterator"]}});
    ASSERT_EQ(page["Records"].size(), 1u) << form;
    EXPECT_EQ(page["Records"][0]["Data"], codec::base64::encode("new")) << form;
  }
}

TEST_F(Cbor, IndefiniteLengthsTagsAndUnknownMembersAreRead) {
  bytes("PutRecord", "\xbf"s + text("StreamName") + "\x7f" + text("") + text("s") + "\xff" + text("PartitionKey") +
                         "\x7f" + text("k") + text("k") + "\xff" + text("Data") + "\x5f\x41" + "a\x40\x42" +
                         "bc\xff\xff");
  EXPECT_EQ(status_, 200);
  bytes("PutRecords", "\xbf"s + text("Records") + "\x9f\xbf" + text("Data") + "\x5f\xff" + text("PartitionKey") +
                          text("k") + "\xff\xff" + text("StreamName") + text("s") + "\xff");
  EXPECT_EQ(status_, 200);
  bytes("PutRecord", "\xd9\xd9\xf7\xa5"s + text("StreamName") + "\xd8\x20" + text("s") + text("PartitionKey") +
                         text("k") + text("ExplicitHashKey") + "\xf6" + text("New") + "\xa1\x61" + "a\x9f\xf7\xff" +
                         text("Data") + "\xd7\x41" + "d");
  EXPECT_EQ(status_, 200);
  EXPECT_EQ(stored(0), "abc");
  EXPECT_EQ(stored(1), "");
  EXPECT_EQ(stored(2), "d");
  EXPECT_EQ(world_.records("s")[0]["PartitionKey"], "kk");
}

TEST_F(Cbor, NumbersMayBeFloats) {
  const std::string iterator = text("ShardIterator") + text(world_.iterator("s"));
  for (const char* data : {"a", "b", "c"}) world_.put("s", "k", data);
  const std::string half = "\xa2"s + iterator + text("Limit") + "\xf9\x41\x00"s;  // 2.5
  EXPECT_EQ(json_of_cbor(bytes("GetRecords", half))["Records"].size(), 2u);
  const std::string infinite = "\xa2"s + iterator + text("Limit") + "\xf9\x7c\x00"s;
  EXPECT_EQ(json_of_cbor(bytes("GetRecords", infinite))["message"],
            "1 validation error detected: Value '2147483647' at 'limit' failed to satisfy constraint: "
            "Member must have value less than or equal to 10000");
  for (const std::string& limit : {"\xf9\x7e\x00"s, "\x3b\xff\xff\xff\xff\xff\xff\xff\xff"s}) {
    bytes("GetRecords", "\xa2"s + iterator + text("Limit") + limit);
    EXPECT_EQ(status_, 400);
  }
}

TEST_F(Cbor, BytesAreNoTextAndATextIsABlobInBase64) {
  const std::string key =
      "\xa3"s + text("StreamName") + text("s") + text("Data") + "\x40" + text("PartitionKey") + "\x41k";
  EXPECT_EQ(bytes("PutRecord", key), "\xa2"s + text("__type") + text("SerializationException") + text("Message") +
                                         text("class java.nio.HeapByteBuffer can not be converted to an String"));
  bytes("PutRecord", put(text("YWJj")));
  EXPECT_EQ(status_, 200);
  EXPECT_EQ(stored(0), "abc");
  EXPECT_EQ(
      json_of_cbor(bytes("PutRecord", put(text("YWJ"))))["Message"],
      "'YWJ' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3");
}

TEST_F(Cbor, WhatIsNoMapIsASerializationException) {
  const std::string whole = put("\x41x"s);
  const std::string refusal = "\xa1"s + text("__type") + text("SerializationException");
  for (const char* operation : {"PutRecord", "PutRecords", "GetRecords", "ListStreams"}) {
    for (std::size_t size = 1; size < whole.size(); ++size)
      EXPECT_EQ(bytes(operation, whole.substr(0, size)), refusal) << operation << " " << size;
    EXPECT_EQ(bytes(operation, whole + "\x00"s), refusal) << operation;
    for (const std::string& body : {"\x80"s, "\x01"s, "\xf6"s, "\xa1\x01\x02"s, "{}"s, "\xa1\x61\xff\x01"s})
      EXPECT_EQ(bytes(operation, body), refusal) << operation;
  }
  EXPECT_TRUE(world_.records("s").empty());
}

TEST_F(Cbor, LargePagesComeInPiecesOfTheAnnouncedSize) {
  std::vector<std::string> sent;
  for (const std::size_t size : {0u, 23u, 24u, 255u, 256u, 65'535u, 65'536u, 196'608u, 196'609u, 400'000u}) {
    sent.emplace_back(size, static_cast<char>(size));
    world_.put("s", "k\xc3\xa9" + std::to_string(size), sent.back());
    world_.clock.advance(std::chrono::milliseconds(777));
  }
  const Json page = json_of_cbor(bytes("GetRecords", "\xa1"s + text("ShardIterator") + text(world_.iterator("s"))));
  EXPECT_TRUE(pieces_);
  ASSERT_EQ(page["Records"].size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(page["Records"][i]["Data"], codec::base64::encode(sent[i]));
    EXPECT_EQ(page["Records"][i]["PartitionKey"], "k\xc3\xa9" + std::to_string(sent[i].size()));
  }
  EXPECT_EQ(page["MillisBehindLatest"], 0);
  EXPECT_TRUE(page.contains("NextShardIterator"));
}

}  // namespace
}  // namespace millrace::test
