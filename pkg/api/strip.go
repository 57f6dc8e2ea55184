package api

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// StripTypeMeta returns f with a codec that clears apiVersion and kind of what it reads from etcd: inside the server
// an object has none, and the items of a list must show none to clients.
func StripTypeMeta(f serverstorage.StorageFactory) serverstorage.StorageFactory {
	return stripFactory{f}
}

type stripFactory struct{ serverstorage.StorageFactory }

func (f stripFactory) NewConfig(r schema.GroupResource, example runtime.Object) (*storagebackend.ConfigForResource, error) {
	c, err := f.StorageFactory.NewConfig(r, example)
	if err != nil {
		return nil, err
	}
	c.Codec = stripCodec{c.Codec}
	return c, nil
}

type stripCodec struct{ runtime.Codec }

func (c stripCodec) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, kind, err := c.Codec.Decode(data, defaults, into)
	if obj != nil {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
	return obj, kind, err
}
