#include "front/replies.hpp"

#include "millrace/codec/json_reader.hpp"

namespace millrace::front {

std::string xml_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

std::string coral_error(std::string_view type) {
  std::string out = R"({"Output":{"__type":"com.amazon.coral.service#)";
  return out.append(type).append(R"("},"Version":"1.0"})");
}

Protocol protocol_of(std::string_view signing_name) noexcept {
  if (signing_name == "s3") return Protocol::s3;
  for (const std::string_view query : {"iam", "cloudformation", "sns", "sqs", "ec2", "rds", "redshift", "ses",
                                       "autoscaling", "elasticache", "elasticloadbalancing"})
    if (signing_name == query) return Protocol::query;
  return Protocol::json;
}

UnservedReply unserved_reply(Protocol protocol, std::string_view message, std::string_view request_id) {
  UnservedReply reply{400, kXmlType, {}};
  const std::string id(request_id), text = xml_text(message);
  switch (protocol) {
    case Protocol::json:
      reply.content_type = kJsonType;
      reply.body = R"({"__type":"UnknownOperationException","message":)";
      codec::json_quote(message, reply.body);
      reply.body += '}';
      return reply;
    case Protocol::query:
      reply.body = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>" + text +
                   "</Message></Error><RequestId>" + id + "</RequestId></ErrorResponse>";
      return reply;
    case Protocol::s3:
      reply.status = 501;
      reply.content_type = "application/xml";
      reply.body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NotImplemented</Code><Message>" + text +
                   "</Message><RequestId>" + id + "</RequestId></Error>";
      return reply;
  }
  return reply;
}

}  // namespace millrace::front
