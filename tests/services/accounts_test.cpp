#include "millrace/services/accounts.hpp"

#include "millrace/services/sessions.hpp"
#include "millrace/state/keys.hpp"
#include "services/firehose_world.hpp"
#include "services/kinesis/policy_evaluation.hpp"

namespace millrace::test {
namespace {

using services::Accounts;
using services::Environment;

constexpr const char *kOwn = "000000000000", *kOther = "111122223333", *kThird = "444455556666";
constexpr const char* kRegion = "us-east-1";

std::string arn(const std::string& account, const std::string& stream, const std::string& region = kRegion) {
  return "arn:aws:kinesis:" + region + ":" + account + ":stream/" + stream;
}

/// Several accounts, called as the front calls them.
class ManyAccounts : public FirehoseWorld {
 public:
  explicit ManyAccounts(bool policies = false, std::size_t most = Accounts::kMost)
      : accounts(std::make_unique<Accounts>(environment, parts(), policies, most)) {
    environment.accounts = accounts.get();
    test::run(io, accounts->load());
  }
  ~ManyAccounts() { test::run(io, accounts->stop()); }
  Accounts::Parts parts() { return {*store, *engine, cores, *tree, {}, {}}; }

  Environment* of(const std::string& account, const std::string& region = kRegion) {
    return test::run(io, accounts->of(account, region));
  }
  Answer as(Environment& caller, std::string_view operation, std::string_view body,
            const services::Session* session = nullptr, services::Wire wire = services::Wire::json) {
    Environment* owner = &caller;
    services::Reply reply;
    const services::Context asks{caller, "id", wire, session};
    const services::Service& kinesis = *services::find_service("kinesis");
    reply.error = kinesis.find_owner(asks, operation, body, owner);
    services::Context context{*owner, "id", wire, session};
    if (!reply.error) test::run(io, find(operation).run(context, body, reply));
    if (reply.pushed) return pushed(reply, wire);
    Answer out = answer(reply, wire);
    if (wire == services::Wire::cbor && !out.body.empty()) out.body = json_of_cbor(out.body).dump();
    return out;
  }
  Answer as(const std::string& account, std::string_view operation, const Json& body) {
    return as(*of(account), operation, body.dump());
  }
  Json good(const std::string& account, std::string_view operation, const Json& body) {
    const Answer got = as(account, operation, body);
    EXPECT_EQ(got.status, 200) << operation << " " << body << " gave " << got.body;
    return got.body.empty() ? Json() : got.json();
  }
  void make(const std::string& account, const std::string& name) {
    good(account, "CreateStream", {{"StreamName", name}, {"ShardCount", 1}});
  }
  void allow(const std::string& account, const std::string& resource, const Json& statements) {
    good(account, "PutResourcePolicy",
         {{"ResourceARN", resource}, {"Policy", Json{{"Version", "2012-10-17"}, {"Statement", statements}}.dump()}});
  }

  std::unique_ptr<Accounts> accounts;
};

Json put_of(const std::string& data) { return {{"PartitionKey", "k"}, {"Data", codec::base64::encode(data)}}; }
Json with(Json body, const Json& more) {
  body.update(more);
  return body;
}

TEST(Accounts, HaveNothingInCommon) {
  ManyAccounts world;
  Environment& west = *world.of(kOther, "eu-west-1");
  for (const char* account : {kOwn, kOther}) {
    world.make(account, "clicks");
    world.good(account, "PutRecord", with(put_of(account), {{"StreamName", "clicks"}}));
    world.good(account, "AddTagsToStream", {{"StreamName", "clicks"}, {"Tags", {{"of", account}}}});
  }
  EXPECT_EQ(world.as(west, "DescribeStream", R"({"StreamName":"clicks"})").message(),
            "Stream clicks under account 111122223333 not found.");
  world.make(kOther, "more");
  EXPECT_EQ(world.good(kOwn, "ListStreams", Json::object())["StreamNames"], Json({"clicks"}));

  std::map<std::string, std::string> iterators, pages;
  for (const char* account : {kOwn, kOther}) {
    const Json described = world.good(account, "DescribeStreamSummary", {{"StreamName", "clicks"}});
    EXPECT_EQ(described["StreamDescriptionSummary"]["StreamARN"], arn(account, "clicks"));
    EXPECT_EQ(world.good(account, "ListTagsForStream", {{"StreamName", "clicks"}})["Tags"][0]["Value"], account);
    iterators[account] = world.good(account, "GetShardIterator",
                                    {{"StreamName", "clicks"},
                                     {"ShardId", "shardId-000000000000"},
                                     {"ShardIteratorType", "TRIM_HORIZON"}})["ShardIterator"];
    const Json read = world.good(account, "GetRecords", {{"ShardIterator", iterators[account]}})["Records"];
    ASSERT_EQ(read.size(), 1u);
    EXPECT_EQ(read[0]["Data"], codec::base64::encode(account));
  }
  pages[kOther] = world.good(kOther, "ListStreams", {{"Limit", 1}})["NextToken"];
  world.make(kOwn, "more");
  pages[kOwn] = world.good(kOwn, "ListStreams", {{"Limit", 1}})["NextToken"];
  for (const auto& [from, to] : {std::pair{kOwn, kOther}, {kOther, kOwn}}) {
    EXPECT_EQ(world.as(to, "GetRecords", {{"ShardIterator", iterators[from]}}).message(), "Invalid ShardIterator.");
    EXPECT_EQ(world.as(to, "ListStreams", {{"NextToken", pages[from]}}).message(), "Invalid NextToken.");
    world.good(from, "ListStreams", {{"NextToken", pages[from]}});
  }

  world.good(kOther, "UpdateAccountSettings", {{"MinimumThroughputBillingCommitment", {{"Status", "ENABLED"}}}});
  EXPECT_EQ(world.good(kOwn, "DescribeAccountSettings", Json::object())["MinimumThroughputBillingCommitment"]["Status"],
            "DISABLED");
  world.good(kOther, "DeleteStream", {{"StreamName", "clicks"}});
  EXPECT_EQ(world.good(kOwn, "ListStreams", Json::object())["StreamNames"], Json({"clicks", "more"}));
}

TEST(Accounts, HaveDeliveryStreamsOfTheirOwn) {
  ManyAccounts world;
  for (const char* account : {kOwn, kOther}) world.make(account, "clicks");
  const auto create = [&](Environment& environment, const std::string& source) {
    Json request = delivery_stream("out");
    request["KinesisStreamSourceConfiguration"]["KinesisStreamARN"] = source;
    services::Context context{environment, "id"};
    services::Reply reply;
    test::run(world.io,
              services::find_service("firehose")->find("CreateDeliveryStream")->run(context, request.dump(), reply));
    return KinesisWorld::answer(reply);
  };
  EXPECT_EQ(create(*world.of(kOther), arn(kOwn, "clicks")).message(),
            "KinesisStreamARN must be of a stream of account 111122223333 in us-east-1.");
  EXPECT_EQ(create(*world.of(kOther), arn(kOther, "clicks")).json()["DeliveryStreamARN"],
            "arn:aws:firehose:us-east-1:111122223333:deliverystream/out");
  EXPECT_FALSE(world.delivery->find("out"));
  EXPECT_EQ(create(world.environment, arn(kOwn, "clicks")).status, 200);
  EXPECT_EQ(services::told_prefix(world.environment), "");
  EXPECT_EQ(services::told_prefix(*world.of(kOther)), "111122223333/us-east-1/");
}

TEST(Accounts, AreThereAgainAfterARestartWhenTheyHoldSomething) {
  ManyAccounts world;
  world.make(kOther, "clicks");
  (void)world.of(kThird);
  const auto stored = [&](const char* account) {
    return test::run(world.io, world.store->list(std::string(state::keys::kAccounts) + account)).value().size();
  };
  EXPECT_EQ(stored(kOther), 2u);
  EXPECT_EQ(stored(kThird), 1u) << "the key of its iterators";
  world.good(kOther, "PutRecord", with(put_of("kept"), {{"StreamName", "clicks"}}));

  test::run(world.io, world.accounts->stop());
  world.accounts = std::make_unique<Accounts>(world.environment, world.parts(), false);
  world.environment.accounts = world.accounts.get();
  test::run(world.io, world.accounts->load());
  EXPECT_EQ(world.accounts->others().size(), 1u);
  EXPECT_EQ(stored(kThird), 0u);
  const Json iterator = world.good(kOther, "GetShardIterator",
                                   {{"StreamName", "clicks"}, {"ShardId", "0"}, {"ShardIteratorType", "TRIM_HORIZON"}});
  EXPECT_EQ(world.good(kOther, "GetRecords", {{"ShardIterator", iterator["ShardIterator"]}})["Records"].size(), 1u);
}

TEST(Accounts, AreMadeOnceAndNotMoreThanTheBound) {
  ManyAccounts world(false, 2);
  auto first = test::start(world.io, world.accounts->of(kOther, kRegion));
  auto second = test::start(world.io, world.accounts->of(kOther, kRegion));
  settle(world.io);
  ASSERT_TRUE(first.done() && second.done());
  EXPECT_EQ(first.result(), second.result());
  EXPECT_NE(world.of(kOther, "eu-west-1"), nullptr);
  EXPECT_EQ(world.of(kThird), nullptr);
  EXPECT_EQ(world.of(kOwn), &world.environment);
  EXPECT_NE(world.of(kOther), nullptr);
}

TEST(Accounts, WithoutPoliciesAnArnIsEnough) {
  ManyAccounts world;
  world.make(kOther, "clicks");
  const Json by_arn{{"StreamARN", arn(kOther, "clicks")}};
  world.good(kOwn, "PutRecord", with(put_of("x"), by_arn));
  world.good(kOwn, "AddTagsToStream", with(by_arn, {{"Tags", {{"a", "b"}}}}));
  EXPECT_EQ(world.good(kOwn, "ListTagsForResource", {{"ResourceARN", arn(kOther, "clicks")}})["Tags"].size(), 1u);
  EXPECT_EQ(world.as(kOwn, "DescribeStream", {{"StreamARN", arn(kThird, "clicks")}}).message(),
            "Stream clicks under account 444455556666 not found.");
  EXPECT_EQ(world.as(kOwn, "DescribeStream", {{"StreamARN", arn(kOther, "clicks", "eu-west-1")}}).message(),
            "Stream clicks under account 111122223333 not found.");
  EXPECT_EQ(world
                .as(kOwn, "DescribeStreamConsumer",
                    {{"StreamARN", arn(kOwn, "clicks")}, {"ConsumerARN", arn(kOther, "clicks/consumer/c:1")}})
                .message(),
            "The ARNs of a request must be of the same account.");
  // Whatever takes them is told what is wrong with them.
  EXPECT_EQ(world.as(*world.of(kOwn), "DescribeStream", "{").type(), "SerializationException");
  EXPECT_EQ(world.as(kOwn, "DescribeStream", {{"StreamARN", "arn"}}).type(), "ValidationException");
  EXPECT_EQ(world
                .as(*world.of(kOwn), "DescribeStreamSummary", cbor_of({{"StreamARN", arn(kOther, "clicks")}}), nullptr,
                    services::Wire::cbor)
                .json()["StreamDescriptionSummary"]["StreamARN"],
            arn(kOther, "clicks"));
}

class SharedStream : public testing::Test {
 protected:
  SharedStream() { world_.make(kOther, "clicks"); }
  std::string denied(const std::string& operation, const std::string& resource = arn(kOther, "clicks"),
                     const std::string& user = "arn:aws:iam::000000000000:root") {
    return "User: " + user + " is not authorized to perform: kinesis:" + operation + " on resource: " + resource +
           " because no resource-based policy allows the kinesis:" + operation + " action";
  }
  Answer put(const char* account) { return world_.as(account, "PutRecord", with(put_of("x"), by_arn_)); }
  Json statement(const Json& more) {
    return with({{"Effect", "Allow"},
                 {"Principal", {{"AWS", kOwn}}},
                 {"Action", "kinesis:*"},
                 {"Resource", arn(kOther, "clicks")}},
                more);
  }

  ManyAccounts world_{true};
  const Json by_arn_{{"StreamARN", arn(kOther, "clicks")}};
};

TEST_F(SharedStream, IsForItsAccountUnlessAPolicySaysOtherwise) {
  const Answer refused = put(kOwn);
  EXPECT_EQ(refused.type(), "AccessDeniedException");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.message(), denied("PutRecord"));
  EXPECT_EQ(world_.as(kOwn, "PutRecord", with(put_of("x"), {{"StreamARN", arn(kThird, "any")}})).message(),
            denied("PutRecord", arn(kThird, "any")))
      << "whether it is there is not told";
  EXPECT_EQ(put(kOther).status, 200);
  world_.allow(kOther, arn(kOther, "clicks"), Json::array({statement({{"Action", Json({"kinesis:PutRecord"})}})}));
  EXPECT_EQ(put(kOwn).status, 200);
  EXPECT_EQ(put(kThird).type(), "AccessDeniedException");
  EXPECT_EQ(world_.as(kOwn, "PutRecords", with({{"Records", Json::array({put_of("x")})}}, by_arn_)).message(),
            denied("PutRecords"));
  EXPECT_EQ(world_.as(kOwn, "DescribeStream", {{"StreamName", "clicks"}}).type(), "ResourceNotFoundException");
}

TEST_F(SharedStream, IsReadByWhomItsPolicyNames) {
  world_.allow(kOther, arn(kOther, "clicks"), statement({{"Principal", "*"}}));
  world_.good(kOther, "UpdateShardCount",
              {{"StreamName", "clicks"}, {"TargetShardCount", 2}, {"ScalingType", "UNIFORM_SCALING"}});
  EXPECT_EQ(put(kOwn).status, 200);
  const Json page = world_.good(kOwn, "ListShards", with(by_arn_, {{"MaxResults", 1}}));
  EXPECT_EQ(world_.good(kOwn, "ListShards", {{"NextToken", page["NextToken"]}})["Shards"].size(), 2u);
  world_.good(kOwn, "DescribeStreamSummary", by_arn_);
  const Json iterator =
      world_.good(kOwn, "GetShardIterator",
                  with(by_arn_, {{"ShardId", page["Shards"][0]["ShardId"]}, {"ShardIteratorType", "TRIM_HORIZON"}}));
  world_.good(kOwn, "GetRecords", with(by_arn_, iterator));
  EXPECT_EQ(world_.as(kOwn, "GetRecords", iterator).message(), "Invalid ShardIterator.") << "it says whose it is";
  // A policy does not share all there is.
  for (const char* operation : {"DeleteStream", "AddTagsToStream", "SplitShard", "RegisterStreamConsumer"})
    EXPECT_EQ(world_.as(kOwn, operation, by_arn_).message(), denied(operation));
  EXPECT_EQ(world_.as(kOwn, "GetResourcePolicy", {{"ResourceARN", arn(kOther, "clicks")}}).message(),
            denied("GetResourcePolicy"));
  world_.good(kOther, "DeleteResourcePolicy", {{"ResourceARN", arn(kOther, "clicks")}});
  EXPECT_EQ(world_.as(kOwn, "ListShards", {{"NextToken", page["NextToken"]}}).message(), denied("ListShards"));
}

TEST_F(SharedStream, HasConsumersWithPoliciesOfTheirOwn) {
  world_.allow(kOther, arn(kOther, "clicks"), statement(Json::object()));
  const std::string consumer =
      world_.good(kOther, "RegisterStreamConsumer", with(by_arn_, {{"ConsumerName", "c"}}))["Consumer"]["ConsumerARN"];
  const Json by_name = with(by_arn_, {{"ConsumerName", "c"}});
  EXPECT_EQ(world_.as(kOwn, "DescribeStreamConsumer", by_name).message(), denied("DescribeStreamConsumer", consumer));
  world_.allow(kOther, consumer, statement({{"Resource", consumer}}));
  world_.good(kOwn, "DescribeStreamConsumer", by_name);
  world_.good(kOwn, "DescribeStreamConsumer", {{"ConsumerARN", consumer}});
  EXPECT_EQ(world_
                .as(kOwn, "SubscribeToShard",
                    {{"ConsumerARN", consumer},
                     {"ShardId", "shardId-000000000000"},
                     {"StartingPosition", {{"Type", "LATEST"}}}})
                .status,
            200);
}

TEST_F(SharedStream, IsNotReachedByAMemberThatStandsThereTwice) {
  world_.make(kOther, "hidden");
  world_.allow(kOther, arn(kOther, "clicks"), statement(Json::object()));
  const std::string one = R"("StreamARN":")" + arn(kOther, "clicks") + '"',
                    two = R"("Stream\u0041RN":")" + arn(kOther, "hidden") + '"';
  for (const std::string& body : {"{" + one + "," + two + "}", "{" + two + "," + one + "}", "{" + two + "}"})
    EXPECT_EQ(world_.as(*world_.of(kOwn), "DescribeStreamSummary", body).message(),
              denied("DescribeStreamSummary", arn(kOther, "hidden")))
        << body;
}

TEST_F(SharedStream, TakesConditionsThatAreKnownOnly) {
  const auto policy = [&](const Json& condition) {
    return world_.as(
        kOther, "PutResourcePolicy",
        {{"ResourceARN", arn(kOther, "clicks")},
         {"Policy", Json{{"Version", "2012-10-17"}, {"Statement", statement({{"Condition", condition}})}}.dump()}});
  };
  EXPECT_EQ(policy({{"IpAddress", {{"aws:SourceIp", "10.0.0.0/8"}}}}).message(),
            "The policy is malformed: the condition operator IpAddress is not known here.");
  EXPECT_EQ(policy({{"StringEquals", {{"aws:SourceVpc", "v"}}}}).message(),
            "The policy is malformed: the condition key aws:SourceVpc is not known here.");
  EXPECT_EQ(policy({{"StringEquals", {{"aws:PrincipalAccount", 1}}}}).message(),
            "The policy is malformed: the condition key aws:PrincipalAccount has no text as its value.");
  EXPECT_EQ(policy({{"StringEquals", {{"aws:PrincipalAccount", kThird}}}}).status, 200);
  EXPECT_EQ(put(kOwn).type(), "AccessDeniedException");
}

TEST(PolicyEvaluation, DecidesAsIamDoes) {
  using services::kinesis::PolicyQuestion, services::kinesis::Verdict;
  const std::string stream = arn(kOther, "clicks");
  const PolicyQuestion root{kOwn, "arn:aws:iam::000000000000:root", "kinesis:PutRecord", stream, kOther, kRegion};
  PolicyQuestion role = root;
  role.caller_arn = "arn:aws:sts::000000000000:assumed-role/ingest/me";
  const auto yes = Verdict::allowed, no = Verdict::not_allowed, denied = Verdict::denied;
  const Json any{{"Effect", "Allow"}, {"Principal", "*"}, {"Action", "*"}, {"Resource", "*"}};
  const auto without = [](Json statement, const char* member, const Json& more) {
    statement.erase(member);
    return with(statement, more);
  };
  const auto aws = [&](const Json& who) { return with(any, {{"Principal", {{"AWS", who}}}}); };
  const auto only_if = [&](const Json& condition) { return with(any, {{"Condition", condition}}); };
  const Json deny = with(any, {{"Effect", "Deny"}});
  const struct {
    const char* name;
    Json statements;
    Verdict of_root, of_role;
  } cases[] = {
      {"anybody", any, yes, yes},
      {"a list", Json::array({any}), yes, yes},
      {"deny after allow", Json::array({any, deny}), denied, denied},
      {"deny for another", Json::array({any, with(aws(kThird), {{"Effect", "Deny"}})}), yes, yes},
      {"account", aws(kOwn), yes, yes},
      {"root", aws("arn:aws:iam::000000000000:root"), yes, yes},
      {"one of several", aws({kThird, kOwn}), yes, yes},
      {"other account", aws(kThird), no, no},
      {"role", aws("arn:aws:iam::000000000000:role/team/ingest"), no, yes},
      {"other role", aws("arn:aws:iam::000000000000:role/ingest2"), no, no},
      {"same role elsewhere", aws("arn:aws:iam::444455556666:role/ingest"), no, no},
      {"session", aws("arn:aws:sts::000000000000:assumed-role/ingest/me"), no, yes},
      {"other session", aws("arn:aws:sts::000000000000:assumed-role/ingest/you"), no, no},
      {"service", with(any, {{"Principal", {{"Service", "lambda.amazonaws.com"}}}}), no, no},
      {"all but", without(any, "Principal", {{"NotPrincipal", {{"AWS", kThird}}}}), yes, yes},
      {"all but it", without(any, "Principal", {{"NotPrincipal", {{"AWS", kOwn}}}}), no, no},
      {"action", with(any, {{"Action", Json({"kinesis:Get*", "KINESIS:putrecor?"})}}), yes, yes},
      {"other action", with(any, {{"Action", "kinesis:PutRecords"}}), no, no},
      {"not that action", without(any, "Action", {{"NotAction", "kinesis:PutRecord"}}), no, no},
      {"not another", without(any, "Action", {{"NotAction", "kinesis:Get*"}}), yes, yes},
      {"resource", with(any, {{"Resource", "arn:aws:kinesis:*:111122223333:stream/c*"}}), yes, yes},
      {"other resource", with(any, {{"Resource", arn(kOther, "other")}}), no, no},
      {"not that resource", without(any, "Resource", {{"NotResource", stream}}), no, no},
      {"no action", without(any, "Action", Json::object()), no, no},
      {"if account", only_if({{"StringEquals", {{"aws:principalaccount", Json({kThird, kOwn})}}}}), yes, yes},
      {"if role", only_if({{"ArnLike", {{"aws:PrincipalArn", "arn:aws:iam::*:role/ing*"}}}}), no, yes},
      {"if no role", only_if({{"ArnNotLikeIfExists", {{"aws:PrincipalArn", "arn:aws:iam::*:role/*"}}}}), yes, no},
      {"if region", only_if({{"StringEqualsIgnoreCase", {{"aws:RequestedRegion", "US-EAST-1"}}}}), yes, yes},
      {"if both",
       only_if(
           {{"StringLike", {{"aws:RequestedRegion", "us-*"}}}, {"StringNotEquals", {{"aws:ResourceAccount", kOther}}}}),
       no, no},
      {"if unknown", only_if({{"Bool", {{"aws:SecureTransport", "true"}}}}), no, no},
      {"denied if unknown",
       Json::array({any, with(deny, {{"Condition", {{"Bool", {{"aws:SecureTransport", "false"}}}}}})}), denied, denied},
  };
  for (const auto& one : cases) {
    const std::string policy = Json{{"Statement", one.statements}}.dump();
    EXPECT_EQ(services::kinesis::evaluate(policy, root), one.of_root) << one.name;
    EXPECT_EQ(services::kinesis::evaluate(policy, role), one.of_role) << one.name;
  }
  for (const char* policy : {"", "[]", "{}", "x", R"({"Statement":1})", R"({"Statement":[1]})"})
    EXPECT_EQ(services::kinesis::evaluate(policy, root), no) << policy;
}

TEST(PolicyEvaluation, WildcardsAreMatchedInAFewSteps) {
  using services::kinesis::matches_wildcards;
  for (const auto& [pattern, text, matches] : {std::tuple{"", "", true},
                                               {"*", "", true},
                                               {"?", "", false},
                                               {"a*c", "abbc", true},
                                               {"a*c", "abb", false},
                                               {"*a*b*", "xxaxxbxx", true},
                                               {"a?c", "abc", true},
                                               {"a?c", "ac", false},
                                               {"**", "x", true},
                                               {"ab", "abc", false}})
    EXPECT_EQ(matches_wildcards(pattern, text), matches) << pattern << " " << text;
  const std::string stars = "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", as(10'000, 'a');
  EXPECT_FALSE(matches_wildcards(stars, as));
}

}  // namespace
}  // namespace millrace::test
