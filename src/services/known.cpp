#include "millrace/services/operation.hpp"

namespace millrace::services {
namespace {

struct Known {
  std::string_view target_prefix;  // empty: the service has no X-Amz-Target protocol
  std::string_view signing_name;
  std::string_view title;
};

// In order of signing name. Services that are served stand in the registry instead.
constexpr Known kKnown[] = {
    {"", "airflow", "Amazon MWAA"},
    {"", "apigateway", "The control API of Amazon API Gateway"},
    {"", "appconfig", "AWS AppConfig"},
    {"AnyScaleFrontendService", "application-autoscaling", "Application Auto Scaling"},
    {"", "appsync", "AWS AppSync"},
    {"AmazonAthena", "athena", "Amazon Athena"},
    {"", "autoscaling", "Amazon EC2 Auto Scaling"},
    {"", "backup", "AWS Backup"},
    {"", "batch", "AWS Batch"},
    {"", "bedrock", "Amazon Bedrock"},
    {"CertificateManager", "acm", "AWS Certificate Manager"},
    {"", "cloudformation", "AWS CloudFormation"},
    {"", "cloudfront", "Amazon CloudFront"},
    {"CloudTrail_20131101", "cloudtrail", "AWS CloudTrail"},
    {"CodeBuild_20161006", "codebuild", "AWS CodeBuild"},
    {"CodePipeline_20150709", "codepipeline", "AWS CodePipeline"},
    {"AWSCognitoIdentityService", "cognito-identity", "Amazon Cognito identity pools"},
    {"AWSCognitoIdentityProviderService", "cognito-idp", "Amazon Cognito user pools"},
    {"StarlingDoveService", "config", "AWS Config"},
    {"AmazonDMSv20160101", "dms", "AWS Database Migration Service"},
    {"DynamoDB_20120810", "dynamodb", "Amazon DynamoDB"},
    {"DynamoDBStreams_20120810", "dynamodb", "Amazon DynamoDB Streams"},
    {"", "ec2", "Amazon EC2"},
    {"AmazonEC2ContainerRegistry_V20150921", "ecr", "Amazon ECR"},
    {"AmazonEC2ContainerServiceV20141113", "ecs", "Amazon ECS"},
    {"", "eks", "Amazon EKS"},
    {"", "elasticache", "Amazon ElastiCache"},
    {"", "elasticfilesystem", "Amazon EFS"},
    {"", "elasticloadbalancing", "Elastic Load Balancing"},
    {"ElasticMapReduce", "elasticmapreduce", "Amazon EMR"},
    {"", "es", "Amazon OpenSearch Service"},
    {"AWSEvents", "events", "Amazon EventBridge"},
    {"AWSGlue", "glue", "AWS Glue"},
    {"", "execute-api", "Amazon API Gateway's execute-api"},
    {"", "iam", "AWS IAM"},
    {"", "iot", "AWS IoT"},
    {"", "kafka", "Amazon MSK"},
    {"KinesisAnalytics_20180523", "kinesisanalytics", "Amazon Managed Service for Apache Flink"},
    {"", "kinesisvideo", "Amazon Kinesis Video Streams"},
    {"TrentService", "kms", "AWS KMS"},
    {"AWSLakeFormation", "lakeformation", "AWS Lake Formation"},
    {"", "lambda", "AWS Lambda"},
    {"Logs_20140328", "logs", "Amazon CloudWatch Logs"},
    {"", "mq", "Amazon MQ"},
    {"AWSOrganizationsV20161128", "organizations", "AWS Organizations"},
    {"", "pipes", "Amazon EventBridge Pipes"},
    {"", "rds", "Amazon RDS"},
    {"", "redshift", "Amazon Redshift"},
    {"RedshiftData", "redshift-data", "Amazon Redshift Data API"},
    {"ResourceGroupsTaggingAPI_20170126", "tagging", "Resource Groups Tagging API"},
    {"", "route53", "Amazon Route 53"},
    {"", "s3", "Amazon S3"},
    {"SageMaker", "sagemaker", "Amazon SageMaker"},
    {"", "scheduler", "Amazon EventBridge Scheduler"},
    {"secretsmanager", "secretsmanager", "AWS Secrets Manager"},
    {"Route53AutoNaming_v20170314", "servicediscovery", "AWS Cloud Map"},
    {"", "ses", "Amazon SES"},
    {"", "sns", "Amazon SNS"},
    {"AmazonSQS", "sqs", "Amazon SQS"},
    {"AmazonSSM", "ssm", "AWS Systems Manager"},
    {"AWSStepFunctions", "states", "AWS Step Functions"},
    {"Timestream_20181101", "timestream", "Amazon Timestream"},
    {"", "xray", "AWS X-Ray"},
};

}  // namespace

std::optional<std::string_view> known_unserved_service(std::string_view target_prefix_or_signing_name) noexcept {
  if (target_prefix_or_signing_name.empty()) return std::nullopt;
  for (const Known& known : kKnown)
    if (known.target_prefix == target_prefix_or_signing_name || known.signing_name == target_prefix_or_signing_name)
      return known.title;
  return std::nullopt;
}

}  // namespace millrace::services
