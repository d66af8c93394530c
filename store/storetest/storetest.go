// Package storetest is what others need to test against when they write
// drivers for, or programs on, package store.
//
//   - [TestBucket] is the contract of blob.Bucket as a test.
//   - [FaultBucket] wraps a bucket and fails as planned.
//   - [NewS3] starts the strict fake S3 of package fakes3 for one test.
package storetest
