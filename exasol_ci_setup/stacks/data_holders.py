"""The resource types that hold data, and the data that is lost when CloudFormation deletes such a resource.

The base is cfn-lint's list of stateful types (rule I3011, ``StatefulResources.json``). Each further type has a reference page
that says that its contents are deleted with it. Not listed are types whose contents come from the template alone (such as
``AWS::SSM::Parameter``), copies that refill automatically (such as ``AWS::DAX::Cluster``), and nested stacks, because their
resources are checked.
"""

from __future__ import annotations

from typing import Final

HOLDERS: Final = {
    # Objects, files, disks
    "AWS::S3::Bucket": "its objects",
    "AWS::S3Files::FileSystem": "its files",
    "AWS::S3Express::DirectoryBucket": "its objects",
    "AWS::S3Outposts::Bucket": "its objects",
    "AWS::S3Tables::Table": "its rows",
    "AWS::S3Tables::TableBucket": "its tables",
    "AWS::S3Vectors::Index": "its vectors",
    "AWS::S3Vectors::VectorBucket": "its vectors",
    "AWS::EFS::FileSystem": "its files",
    "AWS::FSx::FileSystem": "its files",
    "AWS::FSx::StorageVirtualMachine": "its volumes",
    "AWS::FSx::Volume": "its files",
    "AWS::EC2::Instance": "its disks",
    "AWS::EC2::Volume": "its files",
    "AWS::Lightsail::Bucket": "its objects",
    "AWS::Lightsail::Disk": "its files",
    "AWS::Lightsail::Instance": "its disks",
    "AWS::Backup::BackupVault": "its backups",
    "AWS::Backup::LogicallyAirGappedBackupVault": "its backups",
    "AWS::Cloud9::EnvironmentEC2": "its files",
    "AWS::SageMaker::NotebookInstance": "its files",
    "AWS::SageMaker::Domain": "its users' files",
    "AWS::WorkSpaces::Workspace": "its volumes",
    "AWS::WorkspacesInstances::Volume": "its files",
    # Databases, tables, caches, graphs
    "AWS::Cassandra::Keyspace": "its tables",
    "AWS::Cassandra::Table": "its rows",
    "AWS::CloudFront::KeyValueStore": "its entries",
    "AWS::DSQL::Cluster": "its tables",
    "AWS::DocDB::DBCluster": "its collections",
    "AWS::DocDB::DBInstance": "its collections",
    "AWS::DocDBElastic::Cluster": "its collections",
    "AWS::DynamoDB::GlobalTable": "its items",
    "AWS::DynamoDB::Table": "its items",
    "AWS::EMR::Cluster": "its files",
    "AWS::ElastiCache::CacheCluster": "its entries",
    "AWS::ElastiCache::ReplicationGroup": "its entries",
    "AWS::ElastiCache::ServerlessCache": "its entries",
    "AWS::Glue::Database": "its tables' definitions",
    "AWS::Lightsail::Database": "its tables",
    "AWS::MemoryDB::Cluster": "its entries",
    "AWS::Neptune::DBCluster": "its graph",
    "AWS::Neptune::DBInstance": "its graph",
    "AWS::NeptuneGraph::Graph": "its graph",
    "AWS::QLDB::Ledger": "its documents",
    "AWS::RDS::DBCluster": "its tables",
    "AWS::RDS::DBInstance": "its tables",
    "AWS::Redshift::Cluster": "its tables",
    "AWS::RedshiftServerless::Namespace": "its tables",
    "AWS::SDB::Domain": "its items",
    "AWS::Serverless::SimpleTable": "its items",
    "AWS::SageMaker::FeatureGroup": "its records",
    "AWS::Timestream::Database": "its tables",
    "AWS::Timestream::InfluxDBCluster": "its series",
    "AWS::Timestream::InfluxDBInstance": "its series",
    "AWS::Timestream::Table": "its rows",
    # Search, collections, customers
    "AWS::CustomerProfiles::Domain": "its profiles",
    "AWS::Connect::Instance": "its contacts",
    "AWS::Connect::DataTable": "its rows",
    "AWS::Cases::Domain": "its cases",
    "AWS::DataZone::Domain": "its catalog",
    "AWS::Detective::Graph": "its records",
    "AWS::EKS::Cluster": "its Kubernetes objects",
    "AWS::Elasticsearch::Domain": "its indexes",
    "AWS::HealthLake::FHIRDatastore": "its records",
    "AWS::HealthImaging::Datastore": "its images",
    "AWS::Kendra::Index": "its documents",
    "AWS::Location::GeofenceCollection": "its geofences",
    "AWS::Location::Tracker": "its positions",
    "AWS::Omics::AnnotationStore": "its annotations",
    "AWS::Omics::ReferenceStore": "its references",
    "AWS::Omics::SequenceStore": "its sequences",
    "AWS::Omics::VariantStore": "its variants",
    "AWS::OpenSearchServerless::Collection": "its indexes",
    "AWS::OpenSearchServerless::CollectionIndex": "its documents",
    "AWS::OpenSearchServerless::Index": "its documents",
    "AWS::OpenSearchService::Domain": "its indexes",
    "AWS::QBusiness::Index": "its documents",
    "AWS::Rekognition::Collection": "its faces",
    "AWS::VoiceID::Domain": "its voices",
    # Streams, queues, logs, metrics
    "AWS::APS::Workspace": "its metrics",
    "AWS::AmazonMQ::Broker": "its messages",
    "AWS::CloudTrail::EventDataStore": "its events",
    "AWS::Events::Archive": "its events",
    "AWS::IoTAnalytics::Channel": "its messages",
    "AWS::IoTAnalytics::Datastore": "its messages",
    "AWS::Kinesis::Stream": "its records",
    "AWS::KinesisVideo::Stream": "its media",
    "AWS::Logs::LogGroup": "its log events",
    "AWS::Logs::LogStream": "its log events",
    "AWS::MSK::Cluster": "its topics",
    "AWS::MSK::ServerlessCluster": "its topics",
    "AWS::SES::MailManagerArchive": "its messages",
    "AWS::SQS::Queue": "its messages",
    # Keys, secrets, users, accounts
    "AWS::ACMPCA::CertificateAuthority": "its private key",
    "AWS::CloudHSM::Cluster": "its keys",
    "AWS::Cognito::IdentityPool": "its identities",
    "AWS::Cognito::UserPool": "its users",
    "AWS::DirectoryService::MicrosoftAD": "its users",
    "AWS::DirectoryService::SimpleAD": "its users",
    "AWS::KMS::Key": "everything encrypted with it",
    "AWS::Organizations::Account": "everything in it",
    "AWS::PaymentCryptography::Key": "everything encrypted with it",
    "AWS::SecretsManager::Secret": "its value",
    "AWS::VerifiedPermissions::PolicyStore": "its policies",
    # Images, packages, repositories
    "AWS::CodeArtifact::Domain": "its packages",
    "AWS::CodeArtifact::Repository": "its packages",
    "AWS::CodeCommit::Repository": "its commits",
    "AWS::ECR::PublicRepository": "its images",
    "AWS::ECR::Repository": "its images",
}
"""The data that is lost with a resource, by its type."""

SNAPSHOTS: Final = frozenset(
    {
        "AWS::DocDB::DBCluster",
        "AWS::EC2::Volume",
        "AWS::ElastiCache::CacheCluster",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::Neptune::DBCluster",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::Redshift::Cluster",
    }
)
"""The types that support the policy ``Snapshot``.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html.
"""
