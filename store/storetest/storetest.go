// Package storetest is what others need to test against when they write
// drivers for, or programs on, package store.
//
//   - [TestBucket] is the contract of blob.Bucket as a test.
//   - [CheckCache] proves that the cache in a bucket is whole.
//   - [FaultBucket] wraps a bucket and fails as planned.
//   - [NewS3] starts the strict fake S3 of package fakes3 for one test.
//   - [NoLeaks] fails a test that leaves goroutines behind.
package storetest
