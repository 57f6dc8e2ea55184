package storagemigration

import (
	"fmt"
	"strconv"

	migrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of the conditions.
const (
	reasonRunning   = "StorageVersionMigrationInProgress"
	reasonSucceeded = "StorageVersionMigrationSucceeded"
	reasonFailed    = "StorageVersionMigrationFailed"
)

// ended tells whether a migration has come to an end, which is for good.
func ended(m *migrationv1.StorageVersionMigration) bool {
	return meta.IsStatusConditionTrue(m.Status.Conditions, string(migrationv1.MigrationSucceeded)) || meta.IsStatusConditionTrue(m.Status.Conditions, string(migrationv1.MigrationFailed))
}

// begin gives the status of a migration of all objects that were last written before version.
func begin(m *migrationv1.StorageVersionMigration, version string) *migrationv1.StorageVersionMigration {
	update := m.DeepCopy()
	update.Status.ResourceVersion = version
	meta.SetStatusCondition(&update.Status.Conditions, metav1.Condition{Type: string(migrationv1.MigrationRunning), Status: metav1.ConditionTrue, Reason: reasonRunning})
	return update
}

// end gives the status of a migration that is over; without a fault it has succeeded.
func end(m *migrationv1.StorageVersionMigration, fault error) *migrationv1.StorageVersionMigration {
	update := m.DeepCopy()
	condition := metav1.Condition{Type: string(migrationv1.MigrationSucceeded), Status: metav1.ConditionTrue, Reason: reasonSucceeded}
	if fault != nil {
		condition.Type, condition.Reason, condition.Message = string(migrationv1.MigrationFailed), reasonFailed, fault.Error()
	}
	if running := meta.FindStatusCondition(update.Status.Conditions, string(migrationv1.MigrationRunning)); running != nil {
		meta.SetStatusCondition(&update.Status.Conditions, metav1.Condition{Type: running.Type, Status: metav1.ConditionFalse, Reason: condition.Reason, Message: condition.Message})
	}
	meta.SetStatusCondition(&update.Status.Conditions, condition)
	return update
}

// due are the objects that have not been written since the migration began: the others are in the present version already.
func due(objects []metav1.PartialObjectMetadata, began string) ([]metav1.PartialObjectMetadata, error) {
	since, err := strconv.ParseUint(began, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("status.resourceVersion %q is no number", began)
	}
	var out []metav1.PartialObjectMetadata
	for _, o := range objects {
		if version, err := strconv.ParseUint(o.ResourceVersion, 10, 64); err != nil || version <= since {
			out = append(out, o)
		}
	}
	return out, nil
}

// rewrite is a patch that changes nothing: the API server stores the object anew when it is stored in another version than the
// present one. It is for this state of the object alone; whoever changes it meanwhile has rewritten it.
func rewrite(o metav1.PartialObjectMetadata) []byte {
	return fmt.Appendf(nil, `{"metadata":{"uid":%q,"resourceVersion":%q}}`, o.UID, o.ResourceVersion)
}
