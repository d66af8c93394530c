// Package storetest tests drivers for package store, and programs that use it.
//
//   - [TestBucket] is the contract of blob.Bucket as a test.
//   - [CheckCache] checks that the cache in a bucket is whole.
//   - [FaultBucket] wraps a bucket, logs its operations and fails as planned.
//   - [NewS3] starts the strict fake S3 of package fakes3 for one test.
//   - [NoLeaks] fails a test that leaves goroutines behind.
package storetest
