// Runs the scenario with the AWS SDK for Go v2. One JSON line a step.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

type step struct {
	Op     string            `json:"op"`
	In     map[string]any    `json:"in"`
	Save   map[string]string `json:"save"`
	Expect map[string]any    `json:"expect"`
	Error  string            `json:"error"`
	Events int               `json:"events"`
}

func at(value any, path string) any {
	for _, part := range strings.Split(path, ".") {
		switch held := value.(type) {
		case map[string]any:
			value = held[part]
		case []any:
			if part == "length" {
				value = float64(len(held))
			} else if i, err := strconv.Atoi(part); err == nil && i < len(held) {
				value = held[i]
			} else {
				return nil
			}
		default:
			return nil
		}
	}
	return value
}

func fill(value any, saved map[string]any) any {
	switch held := value.(type) {
	case string:
		if strings.HasPrefix(held, "$") {
			return saved[held[1:]]
		}
	case []any:
		filled := make([]any, len(held))
		for i, each := range held {
			filled[i] = fill(each, saved)
		}
		return filled
	case map[string]any:
		filled := map[string]any{}
		for name, each := range held {
			filled[name] = fill(each, saved)
		}
		return filled
	}
	return value
}

// The SDK's shapes have the members' names, so encoding/json reads inputs and writes outputs.
func call(client *kinesis.Client, step step, members any) (any, error) {
	method := reflect.ValueOf(client).MethodByName(step.Op)
	text, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	input := reflect.New(method.Type().In(1).Elem())
	if err := json.Unmarshal(text, input.Interface()); err != nil {
		return nil, err
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	var output any = results[0].Interface()
	if step.Events > 0 {
		stream := output.(*kinesis.SubscribeToShardOutput).GetStream()
		defer stream.Close()
		event, more := <-stream.Events()
		if !more {
			return nil, fmt.Errorf("no event: %v", stream.Err())
		}
		output = event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
	}
	text, err = json.Marshal(output)
	if err != nil {
		return nil, err
	}
	var plain any
	err = json.Unmarshal(text, &plain)
	return plain, err
}

func run(client *kinesis.Client, step step, saved map[string]any) string {
	output, err := call(client, step, fill(step.In, saved))
	if err != nil {
		var refused smithy.APIError
		if errors.As(err, &refused) && refused.ErrorCode() == step.Error {
			return ""
		}
		return err.Error()
	}
	if step.Error != "" {
		return "not refused with " + step.Error
	}
	for path, wanted := range step.Expect {
		found, wanted := at(output, path), fill(wanted, saved)
		if wanted == "*" && found != nil {
			continue
		}
		if found != wanted {
			return fmt.Sprintf("%s is %v and should be %v", path, found, wanted)
		}
	}
	for to, path := range step.Save {
		saved[to] = at(output, path)
	}
	return ""
}

func main() {
	text, err := os.ReadFile(os.Args[3])
	if err != nil {
		panic(err)
	}
	var steps []step
	if err := json.Unmarshal(text, &steps); err != nil {
		panic(err)
	}
	client := kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(os.Args[1]),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer:      aws.NopRetryer{},
	})
	saved, failed := map[string]any{"s": os.Args[2]}, 0
	for _, step := range steps {
		said := run(client, step, saved)
		if said != "" {
			failed = 1
		}
		line, _ := json.Marshal(map[string]any{"operation": step.Op, "ok": said == "", "said": said})
		fmt.Println(string(line))
	}
	os.Exit(failed)
}
